"""Decide what fits into a document, with a share for each namespace."""
