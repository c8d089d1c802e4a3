"""Authorization of an authenticated client, in steps: for certificates and for tokens."""
