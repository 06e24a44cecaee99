"""The people of the clinics' database: who may log in, and who is told."""
