"""Which TrustedCA vouches for a client certificate, by which path, and until when that holds."""
