"""The clinics' keys: made, kept in the database and beside the backups, wrapped anew, destroyed by two people."""
