"""Decide which parts of the published state stay in force, and which are removed."""
