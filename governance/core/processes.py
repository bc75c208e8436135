"""Which server process this is, once it has told the database that it lives (governance.clients.connections)."""

import uuid

#: None in commands, and in a server that is starting.
current: uuid.UUID | None = None
