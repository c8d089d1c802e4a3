"""Trust decisions: which TrustedCA vouches for a client certificate, by which path, and how long that is valid."""
