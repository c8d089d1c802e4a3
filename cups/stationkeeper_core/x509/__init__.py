"""Certificates as facts: read from bytes, without any judgement."""
