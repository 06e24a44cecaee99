"""Leased jobs: one table, and one rule for how they are asked for, claimed, kept and ended."""
