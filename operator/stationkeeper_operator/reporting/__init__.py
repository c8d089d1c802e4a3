"""What became of each resource: conditions, statuses, events."""
