"""Gateways and GatewayDefaults to the registry documents."""
