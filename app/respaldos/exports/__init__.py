"""Exports that a worker makes and a person downloads once."""
