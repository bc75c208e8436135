"""Views for the scripts of the back office's pages: authenticated by the session, with errors in the API's JSON."""

from collections.abc import Callable
from functools import wraps
from typing import Any, Concatenate, ParamSpec

from django.http import HttpRequest, JsonResponse
from django.http.response import HttpResponseBase

from governance.access.actors import Actor
from governance.access.permissions import require
from governance.admin.base import actor_of
from governance.api.exceptions import handle
from governance.api.parsing import StrictJSONParser
from governance.audit import denials
from governance.core.errors import ForbiddenError, InvalidInputError

P = ParamSpec("P")


def for_scripts(
    capability: str,
) -> Callable[[Callable[Concatenate[Actor, HttpRequest, P], HttpResponseBase]], Callable[..., HttpResponseBase]]:
    """Decorate a view that scripts call: it gets the actor, who needs `capability`; errors are as in the API."""

    def decorate(view: Callable[Concatenate[Actor, HttpRequest, P], HttpResponseBase]) -> Callable[..., Any]:
        @wraps(view)
        def answer(request: HttpRequest, *args: P.args, **kwargs: P.kwargs) -> HttpResponseBase:
            try:
                actor = actor_of(request)
                require(actor, capability)
                return view(actor, request, *args, **kwargs)
            except Exception as error:
                if isinstance(error, ForbiddenError):
                    denials.of_script(actor, request, capability, error.message)
                response = handle(error, {})
                headers = {name: value for name, value in response.items() if name == "Retry-After"}
                return JsonResponse(response.data, status=response.status_code, headers=headers)

        return answer

    return decorate


def body_of(request: HttpRequest) -> Any:
    """The JSON that was sent, read as strictly as the API reads it."""
    stream: Any = request  # it can be read like a file
    return StrictJSONParser().parse(stream)


def object_of(request: HttpRequest) -> dict[str, Any]:
    """The JSON object that was sent. Raises InvalidInputError for what is none."""
    body = body_of(request)
    if not isinstance(body, dict):
        raise InvalidInputError("expected a JSON object")
    return body
