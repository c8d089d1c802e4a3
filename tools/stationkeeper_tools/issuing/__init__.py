"""Keys and certificates for gateways, in the files that a Basics Station reads."""
