"""Django's backend for PostgreSQL, whose threads leave their turn while they wait for the server."""
