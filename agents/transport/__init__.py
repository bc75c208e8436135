"""How calls leave the server: the guard of addresses, HTTP, the event loop of model calls."""
