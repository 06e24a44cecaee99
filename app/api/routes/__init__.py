"""HTTP routes: each parses, authorizes, makes one call and answers."""
