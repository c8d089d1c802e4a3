"""Manifests judged before they are applied: as the API server and the operator will judge them, without either."""
