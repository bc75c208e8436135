"""Headers that users define for requests to their own addresses: which names and secret values they may have.

The `http` step of workflows and the `http` tool of agents share these rules. How a secret value is stored is in
`governance.core.stored_secrets`.
"""

import re

#: The headers that say how a request is sent, which the server sets by itself.
SET_BY_SERVER = frozenset({"host", "content-length", "transfer-encoding", "connection", "accept-encoding", "upgrade"})
_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")  # RFC 9110, 5.6.2
#: The characters of a secret value: visible ASCII and spaces.
VALUE_PATTERN = r"^[\x20-\x7e]+\Z"
_VALUE = re.compile(VALUE_PATTERN)


def is_name(name: str, *, max_length: int) -> bool:
    """Whether a header can have that name."""
    return len(name) <= max_length and _NAME.fullmatch(name) is not None


def is_secret_value(value: str, *, max_length: int) -> bool:
    """Whether a header can carry that secret value."""
    return len(value) <= max_length and _VALUE.match(value) is not None
