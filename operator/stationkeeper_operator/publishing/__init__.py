"""Write documents into Secrets."""
