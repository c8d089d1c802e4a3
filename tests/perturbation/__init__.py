"""The real operator on a real API server, with a proxy between the two that perturbs what they say: see `run.py`."""
