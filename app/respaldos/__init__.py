"""The domain: backups, and what is done with them; a room for each part."""
