"""Resources to documents and verdicts: pure functions."""
