"""Who may: tokens, passwords, login."""
