"""What the service itself knows of those who come in: tokens that were ended before their time."""
