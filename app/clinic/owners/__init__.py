"""Whose each row is where its own columns do not say it."""
