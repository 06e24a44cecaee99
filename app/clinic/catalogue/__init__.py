"""What tables there are, and which are a clinic's, shared or nobody's."""
