"""The commands that a person runs: each module reads a command line, calls another room, and shows the result."""
