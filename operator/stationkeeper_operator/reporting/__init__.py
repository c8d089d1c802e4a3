"""Conditions, statuses and events of the resources."""
