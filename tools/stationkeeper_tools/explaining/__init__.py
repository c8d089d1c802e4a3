"""Explain why CUPS accepts or refuses a gateway."""
