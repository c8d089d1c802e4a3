"""Compile TrustedCAs into the trust document, and find what it means for gateways."""
