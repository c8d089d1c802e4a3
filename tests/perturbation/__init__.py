"""The real operator on a real API server, with a proxy between them that disturbs their messages: see `run.py`."""
