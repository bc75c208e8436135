"""Database backends: Django's own with what this server needs besides."""
