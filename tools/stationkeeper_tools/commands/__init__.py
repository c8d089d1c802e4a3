"""The commands that a person runs: each module reads a command line, calls the code that does the work, and shows it."""
