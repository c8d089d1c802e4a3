"""Gateways of a list to Gateway resources, in a folder or in a cluster."""
