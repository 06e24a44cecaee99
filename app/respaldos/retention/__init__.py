"""Which backups are kept, deleted, taken back and purged; rows made anew from the bucket."""
