"""Reads a clinic's rows in one snapshot, as lines of a backup file."""
