"""Second copies of backups in buckets of other stores: made, read where the first is gone, removed in their time."""
