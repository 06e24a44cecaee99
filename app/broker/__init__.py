"""Redis: the connection, and how workers hear that there are jobs."""
