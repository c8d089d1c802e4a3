"""The commands that a person runs: each module reads a command line, calls what does the work, and shows it."""
