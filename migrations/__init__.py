"""Alembic, for the schema `respaldos`."""
