"""A read-only page of a fleet, made of the statuses of its resources; the server renders it, without a script."""
