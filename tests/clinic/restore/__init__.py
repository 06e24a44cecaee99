"""Writing a clinic back, against real databases."""
