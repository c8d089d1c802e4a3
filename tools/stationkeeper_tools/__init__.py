"""What a person runs: the demo, the test control plane, the test PKI, checks."""
