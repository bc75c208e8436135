"""The playground in the back office: a page, and what its script asks for, with the session as the credential."""

from collections.abc import AsyncGenerator, Mapping, Sequence
from typing import Any

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.http.response import HttpResponseBase
from django.shortcuts import get_object_or_404
from django.template.response import TemplateResponse
from django.urls import reverse
from django.views.decorators.http import require_GET, require_POST

from agents.playground.requests import Refused, plans_of, visible_prompts
from agents.providers import registry
from agents.providers.parameters import MODEL_PARAMETERS
from agents.runtime import streaming
from agents.runtime.invocations import Plan
from agents.runtime.streaming import Stream
from agents.serializers import MAX_VARIANTS
from governance.access.actors import Actor
from governance.access.permissions import may
from governance.access.visibility import visible_to
from governance.admin.base import actor_of
from governance.admin.scripts import body_of, for_scripts, object_of
from governance.api.filtering import containing
from governance.core.errors import InvalidInputError, NotFoundError
from governance.core.text import words_of
from governance.tenancy.models import Workspace
from prompts import services
from prompts.content import stored
from prompts.models import SERVED_COLUMNS, Prompt, PromptVersion, long_columns
from prompts.serializers import PromptSerializer

FOUND_AT_MOST, VERSIONS_AT_MOST = 20, 200


def page(request: HttpRequest) -> HttpResponse:
    """The page; `?prompt=` and `?version=` choose the text that it begins with."""
    actor = actor_of(request)
    if not may(actor, "playground.run"):
        raise PermissionDenied
    context = {
        **admin.site.each_context(request),
        "title": "Playground",
        "workspaces": list(visible_to(actor, Workspace.objects.order_by("name")).values_list("pk", "name")),
        "settings": {
            "run": reverse("playground_run"),
            "prompts": reverse("playground_prompts"),
            "runs": reverse("admin:governance_run_changelist"),
            "providers": registry.describe(),
            "parameters": sorted(MODEL_PARAMETERS),
            "most": MAX_VARIANTS,
            "maySave": may(actor, "prompt.write"),
            "prompt": request.GET.get("prompt", ""),
            "version": request.GET.get("version", ""),
        },
    }
    return TemplateResponse(request, "agents/admin/playground.html", context)


@require_GET
@for_scripts("prompt.read")
def prompts(actor: Actor, request: HttpRequest) -> HttpResponse:
    """The stored prompts that match what is typed, the last changed first."""
    found = visible_prompts(actor).defer(*long_columns("", "live"))
    try:
        words = words_of(request.GET.get("q", ""))
    except ValueError as problem:
        raise InvalidInputError.of("q", str(problem)) from None
    for word in words:
        found = found.filter(containing(word, "key", "name"))
    rows = found.order_by("-updated_at", "-id")[:FOUND_AT_MOST]
    return JsonResponse({"data": [_summary(prompt) for prompt in rows]})


@require_GET
@for_scripts("prompt.read")
def prompt(actor: Actor, request: HttpRequest, prompt_id: Any) -> HttpResponse:
    """A stored prompt: its draft, and the labels of its versions, newest first."""
    row = get_object_or_404(visible_prompts(actor), pk=prompt_id)
    labels = list(row.versions.values_list("label", flat=True)[:VERSIONS_AT_MOST])
    live = row.live.label if row.live else None
    return JsonResponse({**_summary(row), "etag": row.etag, "live": live, "labels": labels, "draft": _text(row)})


@require_GET
@for_scripts("prompt.read")
def version(actor: Actor, request: HttpRequest, prompt_id: Any) -> HttpResponse:
    """The text of the version that `label` names, with its model and config."""
    return JsonResponse(_text(_version(get_object_or_404(visible_prompts(actor), pk=prompt_id), request.GET)))


@require_POST
@for_scripts("playground.run")
def run(actor: Actor, request: HttpRequest) -> HttpResponseBase:
    """Run the variants side by side; the answer is a stream of events, as the API's."""
    plans = plans_of(actor, body_of(request))
    return streaming.respond(_Variants(actor, plans))


@require_POST
@for_scripts("prompt.write")
def save(actor: Actor, request: HttpRequest, prompt_id: Any) -> HttpResponse:
    """Make a text, with its model and config, the prompt's draft, unless somebody else changed it meanwhile."""
    row = get_object_or_404(visible_prompts(actor), pk=prompt_id)
    body = object_of(request)
    values = {name: body[name] for name in SERVED_COLUMNS if name in body}
    if "label" in body:
        values |= stored.of_row(_version(row, body)).columns()
    checked = PromptSerializer(data=values, partial=True)
    checked.is_valid(raise_exception=True)
    saved = services.update_prompt(
        actor=actor, prompt=row, if_match=str(body.get("if_match", "")), **checked.validated_data
    )
    return JsonResponse({"etag": saved.etag, "url": reverse("admin:prompts_prompt_change", args=[saved.pk])})


class _Variants:
    """Several runs as one stream, each with its number on the page; those that were refused have one too."""

    def __init__(self, actor: Actor, plans: Sequence[Plan | Refused]) -> None:
        self._refused = {number: plan for number, plan in enumerate(plans) if isinstance(plan, Refused)}
        self._numbers = [number for number, plan in enumerate(plans) if isinstance(plan, Plan)]
        planned = [plan for plan in plans if isinstance(plan, Plan)]
        self._stream = Stream(actor=actor, plans=planned, single=False) if planned else None
        self.actor = actor
        self.workspaces = self._stream.workspaces if self._stream else set()

    def stop(self, reason: str) -> None:
        if self._stream is not None:
            self._stream.stop(reason)

    async def events(self) -> AsyncGenerator[tuple[str, dict[str, Any]], None]:
        for number, refused in self._refused.items():
            yield "variant", {"variant": number, "error": refused.error}
        if self._stream is not None:
            events = self._stream.events()
            try:
                async for name, data in events:
                    if "variant" in data:
                        yield name, {**data, "variant": self._numbers[data["variant"]]}
            finally:
                await events.aclose()
        yield "result", {}


def _version(prompt: Prompt, values: Mapping[str, Any]) -> PromptVersion:
    found = prompt.versions.filter(label=str(values.get("label"))).first()
    if found is None:
        raise NotFoundError("version not found")
    return found


def _text(of: Prompt | PromptVersion) -> dict[str, Any]:
    return {**stored.of_row(of).columns(), "model": of.model, "config": of.config}


def _summary(prompt: Prompt) -> dict[str, Any]:
    return {
        "id": str(prompt.pk),
        "key": prompt.key,
        "name": prompt.name,
        "environment": prompt.environment.name,
        "workspace": prompt.environment.workspace.name,
        "status": prompt.status,
    }
