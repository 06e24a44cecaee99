"""What a superadmin says of one clinic: when it is backed up, what is kept, and who is told."""
