"""The migrations of the tables of workflows."""
