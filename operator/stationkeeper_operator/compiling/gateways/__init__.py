"""Compile Gateways and GatewayDefaults into the registry documents."""
