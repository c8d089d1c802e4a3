"""A read-only page of a fleet: what the statuses of its resources say, drawn on the server, without a script."""
