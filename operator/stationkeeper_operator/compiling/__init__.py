"""Compile resources into documents and verdicts, with pure functions."""
