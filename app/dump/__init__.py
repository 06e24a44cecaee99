"""The backup file of docs/format.md: feed bytes, get bytes. No I/O happens here."""
