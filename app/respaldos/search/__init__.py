"""Finding records by what people call them, today and in the backups, and telling what became of them."""
