"""TLS of the gateways' port: OpenSSL proves that a client holds its key; a judge that is passed in decides."""
