"""The domain of a CUPS server, pure: no input or output, no clock; time is passed in."""
