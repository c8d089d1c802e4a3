"""Watch, list and store the resources of the cluster."""
