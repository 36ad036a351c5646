"""Batch systems: the three that are built in, and what a fourth is made of."""
