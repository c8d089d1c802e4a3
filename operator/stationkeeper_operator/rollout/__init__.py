"""Which published changes are proven, and which gateways were seen. Pure: state without clock, network or log."""
