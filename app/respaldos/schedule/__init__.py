"""When: nights, weekly trials, and what is overdue."""
