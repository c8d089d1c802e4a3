"""The resources as records: what they say, what their status says, and what they name."""
