"""The same plan as the full compile, with work in proportion to the changes."""
