"""Lists of gateways as people have them."""
