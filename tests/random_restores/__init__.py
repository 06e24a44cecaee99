"""Restores of clinics in random schemas, after random damage, held against fingerprints of their own."""
