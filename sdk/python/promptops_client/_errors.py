"""The exceptions that the client raises."""

from collections.abc import Sequence


class PromptOpsError(Exception):
    """Everything that this package raises on purpose."""


class ConfigurationError(PromptOpsError, ValueError):
    """The client can't be made like that: an address or a key is missing or makes no sense."""


class PromptNotFound(PromptOpsError, LookupError):  # noqa: N818  # reads as what happened
    """The server is known to serve no such prompt, or no such version of it."""


class EnvironmentNotFound(PromptOpsError, LookupError):  # noqa: N818
    """There is no such environment for this credential. It is not asked for again."""


class MissingVariables(PromptOpsError, ValueError):  # noqa: N818
    """A strict rendering lacks values. `names` are the variables without one, in the order of the text."""

    def __init__(self, names: Sequence[str]) -> None:
        super().__init__(f"no value for: {', '.join(names)}")
        self.names = tuple(names)


class CannotRender(PromptOpsError, TypeError):  # noqa: N818
    """A value can't be written into a text: it has no JSON. `name` is its variable."""

    def __init__(self, name: str, reason: str) -> None:
        super().__init__(f"the value of {name} can't be written into a text: {reason}")
        self.name = name


class NotReady(PromptOpsError):  # noqa: N818
    """Nothing is known yet: the server could not be asked, and there is no copy on disk."""


class Unauthorized(PromptOpsError):  # noqa: N818
    """The server does not accept the credential (any more). The client stops asking with it."""


class Forbidden(PromptOpsError):  # noqa: N818
    """The credential may not look there (any more). The client stops asking."""
