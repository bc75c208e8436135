"""Django's backend for SQLite, with a queue before the write lock."""
