"""The migrations of the tables of agents."""
