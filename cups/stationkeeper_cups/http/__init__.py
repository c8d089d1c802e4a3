"""`POST /update-info` over HTTP: what a gateway asks, and what it is answered."""
