"""Read lists of gateways in the forms that people have."""
