"""Redis: the connection, and the ids of jobs that are put into its queue."""
