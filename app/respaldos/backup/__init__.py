"""Makes a backup: request, attempt, stream, upload, read back."""
