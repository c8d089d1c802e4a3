"""What the CUPS pods have loaded, and whom they saw, made into fields and conditions of the status."""
