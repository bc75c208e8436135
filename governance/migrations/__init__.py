"""The migrations of the tables of governance."""
