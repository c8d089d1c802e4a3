"""What a client that proved who it is may have: the steps of authorization, for certificates and for tokens."""
