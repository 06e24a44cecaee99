"""Master keys: what wraps the clinics' keys, in this process's settings or in AWS KMS."""
