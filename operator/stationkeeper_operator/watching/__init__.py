"""What there is in the cluster: watched, listed and kept."""
