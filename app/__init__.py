"""Respaldos: backs up, proves and restores one clinic's rows of a shared PostgreSQL database."""
