"""Mutation testing of what decides: see `__main__`."""
