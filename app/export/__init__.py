"""A backup's records in formats that other programs open. Knows the file, and neither S3 nor any database."""
