"""Try the chart on a real cluster: on its own node, on kind, or on the cluster of a kubeconfig."""
