"""Read the loaded generations and the gateways seen from the CUPS pods; compute status fields and conditions."""
