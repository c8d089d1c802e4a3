"""The operator: kopf handlers, compile, publish, status."""
