"""What applications fetch: the catalog in memory, the fast lane over it, and the views that read the database."""
