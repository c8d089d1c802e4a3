"""TrustedCAs to the trust document, and what it means for gateways."""
