"""Whether the service is set up as it should be: what is wrong, and the line that mends it."""
