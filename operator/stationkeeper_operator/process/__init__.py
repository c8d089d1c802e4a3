"""The health port and the log of the process."""
