"""Documents into Secrets, and to the pods that load them."""
