"""How the logs are listed, counted, filtered and exported."""
