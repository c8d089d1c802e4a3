"""The same plan as the full compile, by work in proportion to what changed."""
