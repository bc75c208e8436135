"""The answer of addresses that do not exist."""

from typing import Any

from django.http import HttpRequest

from governance.api.viewsets import ApiView
from governance.core.errors import NotFoundError


class NoSuchEndpoint(ApiView):
    """Any other address under /api: for who is logged in 404, in JSON like all the rest."""

    http_method_names = []

    def http_method_not_allowed(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        raise NotFoundError
