"""Requests of the playground's page: several variants, each of a stored text or of the one being typed."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.db.models import QuerySet
from rest_framework.exceptions import ErrorDetail, ValidationError

from agents.runtime import plans
from agents.runtime.invocations import Plan
from agents.runtime.plans import RunRequest
from agents.serializers import MAX_VARIANTS, PlaygroundContentSerializer, PlaygroundPromptSerializer
from governance.access.actors import Actor
from governance.access.visibility import visible_to
from governance.core.errors import DomainError, InvalidInputError, NotFoundError
from governance.tenancy import workspaces
from prompts.models import Prompt

#: The fields of a variant; all others are for the whole request.
OF_A_VARIANT = {"version", "provider", "model", "config"}


@dataclass(frozen=True, slots=True)
class Refused:
    """A variant that can't be run, and the sentence that says why. The others are run all the same."""

    error: str


def visible_prompts(actor: Actor) -> QuerySet[Prompt]:
    return visible_to(actor, Prompt.objects.select_related("environment__workspace", "live"))


def plans_of(actor: Actor, body: Any) -> list[Plan | Refused]:
    """The runs that a body of the page asks for, in order: `{id?, content?, variables, strict, variants: [...]}`.

    A variant with a `version` is of the stored prompt `id`, one without is of `content`. Raises InvalidInputError for a
    body that is no request at all, NotFoundError for a prompt that one can't see.
    """
    if not isinstance(body, Mapping):
        raise InvalidInputError("expected a JSON object")
    variants = body.get("variants")
    if not isinstance(variants, list) or not 0 < len(variants) <= MAX_VARIANTS:
        raise InvalidInputError.of("variants", f"expected a list of one to {MAX_VARIANTS} variants")
    prompt = None
    if body.get("id"):
        serializer = PlaygroundPromptSerializer(data={"id": body["id"]})
        serializer.is_valid(raise_exception=True)
        prompt = visible_prompts(actor).filter(pk=serializer.validated_data["id"]).first()
        if prompt is None:
            raise NotFoundError
    return [_plan_of(actor, body, variant, prompt) for variant in variants]


def _plan_of(actor: Actor, body: Mapping[str, Any], variant: Any, prompt: Prompt | None) -> Plan | Refused:
    if not isinstance(variant, Mapping) or not variant.keys() <= OF_A_VARIANT:
        raise InvalidInputError.of("variants", f"expected objects of {', '.join(sorted(OF_A_VARIANT))}")
    values = {name: body[name] for name in ("variables", "strict") if name in body} | dict(variant)
    try:
        if "version" in variant:
            if prompt is None:
                raise InvalidInputError.of("version", "choose a stored prompt first")
            checked = PlaygroundPromptSerializer(data={**values, "id": str(prompt.pk)})
            checked.is_valid(raise_exception=True)
            return plans.plans_of_prompt(prompt, RunRequest.of(checked.validated_data))[0]
        typed = PlaygroundContentSerializer(data={**values, "content": body.get("content")})
        typed.is_valid(raise_exception=True)
        workspace_id = prompt.workspace_id if prompt else workspaces.resolve(actor, body.get("workspace_id")).pk
        request = RunRequest.of(typed.validated_data)
        return plans.plans_of_content(typed.validated_data["content"], workspace_id, request)[0]
    except ValidationError as error:
        return Refused(_sentence(error.detail))
    except DomainError as error:
        return Refused(error.message)


def _sentence(detail: Any, name: str = "") -> str:
    """The first problem that a serializer found, with its field."""
    if isinstance(detail, ErrorDetail | str):
        return f"{name}: {detail}" if name else str(detail)
    if isinstance(detail, Mapping):
        field, inner = next(iter(detail.items()))
        return _sentence(inner, str(field) if not name else f"{name}.{field}")
    return _sentence(detail[0], name)
