"""The port inside the cluster: for kubelets, Prometheus and the operator, never for gateways."""
