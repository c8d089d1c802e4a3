"""The chart on a real cluster: a node of its own, kind, or what a kubeconfig names."""
