"""The clinic database: whose rows are whose, and reading them at PostgreSQL's own speed."""
