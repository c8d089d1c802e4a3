"""The process: its event loop, its memory and its log."""
