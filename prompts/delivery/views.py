"""What applications fetch. These views read the database, and are the reference for the fast lane."""

from typing import Any

from django.http import HttpResponse
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.request import Request

from governance.access.visibility import visible_to
from governance.api.concurrency import none_match
from governance.api.schema import IF_NONE_MATCH
from governance.api.serializers import ErrorSerializer
from governance.api.viewsets import REVISION_HEADER, ApiView, actor_of
from governance.changes.changelog import REVISION_DIGITS
from governance.core.errors import InvalidInputError, NotFoundError
from governance.core.text import whole_number
from governance.identity.credentials.token_cache import tokens
from governance.tenancy.models import DEFAULT_WORKSPACE, Environment
from prompts import documents
from prompts.delivery.answers import Answer
from prompts.delivery.catalog import catalog
from prompts.models import SERVED_COLUMNS, Prompt, PromptVersion
from prompts.serializers import DocumentSerializer, EnvironmentDocumentSerializer

PLACE = [
    OpenApiParameter("env", str, description="The environment; the token's, else `prod`."),
    OpenApiParameter("workspace", str, description="For credentials that see several; else the token's or `default`."),
    OpenApiParameter(
        "min_revision",
        {"type": "integer", "minimum": 0, "maximum": 10**REVISION_DIGITS - 1},
        description="What a write's X-PromptOps-Revision said: the answer is not older than that.",
    ),
    IF_NONE_MATCH,
]

#: What is read of a version that is asked for by its label.
SERVED = (
    *("label", *SERVED_COLUMNS),
    *("prompt__key", "prompt__environment__name", "prompt__environment__revision", "prompt__environment__workspace"),
)


class PromptFetchView(ApiView):
    capabilities = {"get": "prompt.read"}

    @extend_schema(
        parameters=[
            *PLACE,
            OpenApiParameter("unit", str, description="Who the rollout's variant sticks to."),
            OpenApiParameter("version", str, description="A published version, whatever is live."),
        ],
        responses={200: DocumentSerializer, 304: None},
    )
    def get(self, request: Request, key: str) -> HttpResponse:
        """The prompt as applications are served it."""
        _check_min_revision(request)
        label, known = request.query_params.get("version"), _Known(request)
        prompt, document = _pinned(request, key, label) if label else _current(request, key)
        text = documents.encode(document)
        known.remember(prompt.environment, (key, label, text) if label else None)
        return _answer(request, text, documents.etag_of(text), prompt.environment.revision)


class EnvironmentFetchView(ApiView):
    capabilities = {"get": "prompt.read"}

    @extend_schema(parameters=PLACE, responses={200: EnvironmentDocumentSerializer, 304: None, 404: ErrorSerializer})
    def get(self, request: Request) -> HttpResponse:
        """Every served prompt of an environment in one answer; a rollout comes with its variants."""
        _check_min_revision(request)
        known = _Known(request)
        # The revision is read before the documents: what is fetched is never older than it says.
        environment = _environment(request)
        known.remember(environment)
        etag = documents.listing_etag(environment.epoch, environment.served_revision)
        text = "" if none_match(request, etag) else documents.listing_of(environment)
        return _answer(request, text, etag, environment.revision)


class _Known:
    """Lets the fast lane answer by itself what a view has found out. To be made before the database is asked."""

    def __init__(self, request: Request) -> None:
        self._actor = actor_of(request)
        self._access, self._pinned = tokens.generation, catalog.pinned.generation

    def remember(self, environment: Environment, version: tuple[str, str, str] | None = None) -> None:
        """The actor sees that environment; `version` is the key, the label and the document of a pinned version."""
        tokens.remember_membership(self._actor, environment.workspace_id, self._access)
        if version is not None:
            key, label, text = version
            place = environment.workspace_id, environment.name
            catalog.pinned.remember(place, key, label, Answer.of(text), self._pinned)


def _check_min_revision(request: Request) -> None:
    """Raises InvalidInputError for what is no revision. The database is up to date: there is nothing to wait for."""
    text = request.query_params.get("min_revision", "")
    if text and whole_number(text, digits=REVISION_DIGITS) is None:
        raise InvalidInputError.of("min_revision", f"expected a whole number with at most {REVISION_DIGITS} digits")


def _place(request: Request) -> tuple[str, str]:
    """The workspace and the environment that the request means."""
    actor = actor_of(request)
    workspace = request.query_params.get("workspace") or actor.workspace_id or DEFAULT_WORKSPACE
    return workspace, request.query_params.get("env") or actor.environment or documents.DEFAULT_ENV


def _environment(request: Request) -> Environment:
    workspace, env = _place(request)
    environments = Environment.objects.filter(workspace_id=workspace, name=env)
    found = visible_to(actor_of(request), environments).first()
    if found is None:
        raise NotFoundError
    return found


def _current(request: Request, key: str) -> tuple[Prompt, dict[str, Any]]:
    workspace, env = _place(request)
    prompts = Prompt.objects.filter(environment__workspace_id=workspace, environment__name=env, key=key)
    prompt = visible_to(actor_of(request), prompts).select_related(*documents.SERVED_WITH).first()
    if prompt is None:
        raise NotFoundError
    document = documents.fetched(prompt, request.query_params.get("unit") or None)
    if document is None:
        raise NotFoundError(f"not found: {key} was never published, and {env} serves published versions only")
    return prompt, document


def _pinned(request: Request, key: str, label: str) -> tuple[Prompt, dict[str, Any]]:
    workspace, env = _place(request)
    versions = PromptVersion.objects.filter(
        prompt__environment__workspace_id=workspace, prompt__environment__name=env, prompt__key=key, label=label
    )
    found = visible_to(actor_of(request), versions).select_related("prompt__environment").only(*SERVED)
    version = next(iter(found.order_by()[:1]), None)  # there is one at most, so in no order
    if version is None:
        raise NotFoundError
    return version.prompt, documents.of_version(version.prompt, version)


def _answer(request: Request, text: str, etag: str, revision: int) -> HttpResponse:
    headers = {"ETag": etag, REVISION_HEADER: str(revision), "Cache-Control": "private, no-cache"}
    if none_match(request, etag):
        return HttpResponse(status=304, headers=headers)
    return HttpResponse(text, content_type="application/json; charset=utf-8", headers=headers)
