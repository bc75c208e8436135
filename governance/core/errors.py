"""What can go wrong in the domain. governance.api.exceptions turns each into its status and body, in one place."""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

Fields = Mapping[str, Sequence[Any] | Mapping[str, Any]]


class DomainError(Exception):
    """An operation was refused by a rule. The message is one sentence that a person can act on.

    `fields` names the input fields at fault; `extra` goes into the body beside the error; `retry_after` is in seconds.
    """

    status: ClassVar[int] = 400
    code: ClassVar[str] = "invalid"

    def __init__(
        self,
        message: str,
        *,
        fields: Fields | None = None,
        extra: Mapping[str, Any] | None = None,
        retry_after: int | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.fields = fields
        self.extra = dict(extra or {})
        self.retry_after = retry_after


class InvalidInputError(DomainError):
    """The input can't be worked with; says which field and what was expected."""

    @classmethod
    def of(cls, field: str, problem: str) -> "InvalidInputError":
        return cls(f"{field}: {problem}", fields={field: [problem]})


class UnauthorizedError(DomainError):
    status = 401
    code = "unauthorized"


class ForbiddenError(DomainError):
    status = 403
    code = "forbidden"


class NotFoundError(DomainError):
    status = 404
    code = "not_found"

    def __init__(self, message: str = "not found") -> None:
        super().__init__(message)


class ConflictError(DomainError):
    status = 409
    code = "conflict"


class PreconditionError(DomainError):
    status = 412
    code = "precondition_failed"


class TooManyAttemptsError(DomainError):
    status = 429
    code = "too_many_attempts"


class TooManyRunsError(DomainError):
    """The limit of runs that requests wait for is reached."""

    status = 429
    code = "too_many_runs"


class TooManyStreamsError(DomainError):
    status = 429
    code = "too_many_streams"


class BusyError(DomainError):
    """The server has too much work of this kind at the moment."""

    status = 503
    code = "unavailable"


class ProviderError(DomainError):
    """The model provider answered with a failure, or not in a way that can be used."""

    status = 502
    code = "provider_failed"


class ProviderTimeoutError(ProviderError):
    status = 504
    code = "provider_timeout"
