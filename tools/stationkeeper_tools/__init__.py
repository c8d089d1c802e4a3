"""The command `stationkeeper` for people, and a control plane and a PKI for trials and tests."""
