"""The certificates that a server presents, the root above them, and what a Basics Station would say to them."""
