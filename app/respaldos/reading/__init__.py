"""What only reads a backup's object: verification, trial, comparison, download, export."""
