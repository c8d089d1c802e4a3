"""Measure how much of each package the tests run: see `__main__`."""
