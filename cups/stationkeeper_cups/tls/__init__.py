"""TLS of the gateways' port: OpenSSL proves that a client has its key; a judge, passed as an argument, decides."""
