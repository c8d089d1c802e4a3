"""Check a server's certificates and the root above them, as a Basics Station would."""
