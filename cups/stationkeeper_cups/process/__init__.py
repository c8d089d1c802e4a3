"""The event loop, the memory and the log of the process."""
