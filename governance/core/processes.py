"""The id of this server process, once it is registered in the database (governance.clients.connections)."""

import uuid

#: None in commands, and in a server that is starting.
current: uuid.UUID | None = None
