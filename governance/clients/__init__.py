"""The open connections of all server processes, as they are listed to users."""
