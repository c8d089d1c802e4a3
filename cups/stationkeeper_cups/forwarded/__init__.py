"""The port for proxies that terminate gateways' TLS: the trusted proxies, and their headers on a gateway."""
