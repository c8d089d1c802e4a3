"""A real control plane on this machine, and a release on it, for the demo and for tests."""
