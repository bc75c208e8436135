"""Users, tokens and sessions, how requests are authenticated, and the lock-out of those who guess."""
