"""A first look on one machine, and what tests stand on. Not in the wheel."""
