"""The process: its health and its log."""
