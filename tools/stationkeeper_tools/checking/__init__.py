"""Check manifests before they are applied, by the rules of the API server and the operator, without either."""
