"""The port for proxies that end gateways' TLS: who may be one, and what its headers say of a gateway."""
