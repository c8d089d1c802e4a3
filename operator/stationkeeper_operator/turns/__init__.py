"""Turns of the operator, their triggers, and the check of compiled plans."""
