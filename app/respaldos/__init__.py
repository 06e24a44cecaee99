"""The domain: `respaldo` rows, and one module per operation on them."""
