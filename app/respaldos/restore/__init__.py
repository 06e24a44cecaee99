"""Puts a clinic, or what is nobody's, back from a backup."""
