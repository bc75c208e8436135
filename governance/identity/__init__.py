"""Users, their credentials, and how requests are authenticated."""
