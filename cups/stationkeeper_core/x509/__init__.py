"""Certificates as facts: read from bytes, judged by nobody in here."""
