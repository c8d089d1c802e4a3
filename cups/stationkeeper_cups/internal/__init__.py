"""The internal port, for kubelets, Prometheus and the operator, never for gateways."""
