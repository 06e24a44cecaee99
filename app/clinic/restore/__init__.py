"""Writing one clinic's rows back: staged, compared, refused or applied, and read again. See docs/restore.md."""
