"""The commands for people: the demo, the test control plane, the test PKI, checks."""
