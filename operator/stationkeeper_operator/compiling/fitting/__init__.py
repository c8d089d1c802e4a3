"""What fits into a document, and the share of it that each namespace has."""
