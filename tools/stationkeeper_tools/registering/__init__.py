"""Turn a list of gateways into Gateway resources, in a folder or in a cluster."""
