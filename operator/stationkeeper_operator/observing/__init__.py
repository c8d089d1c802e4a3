"""What the CUPS pods have loaded, and whom they saw: asked of each pod, made into fields and conditions of the status."""
