"""`POST /update-info` over HTTP: requests of gateways and their answers."""
