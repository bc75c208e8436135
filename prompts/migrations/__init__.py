"""The migrations of the tables of prompts."""
