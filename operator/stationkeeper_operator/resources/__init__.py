"""The resources as records: specs, statuses and references."""
