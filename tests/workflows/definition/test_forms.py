"""The builder's form is made of the same schemas as the API's, which has them without what only a form needs."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from django.conf import settings
from rest_framework.test import APIClient

from agents.admin.form_schema import tool_kinds
from governance.access.actors import SYSTEM
from governance.api.json_schema import FORM, without_form
from governance.tenancy.models import Workspace
from workflows.admin.form_schema import for_form
from workflows.definition import schema


def forms_in(node: Any) -> Iterator[dict[str, Any]]:
    if isinstance(node, dict):
        if FORM in node:
            yield node[FORM]
        for inner in node.values():
            yield from forms_in(inner)
    elif isinstance(node, list):
        for inner in node:
            yield from forms_in(inner)


def test_the_form_of_a_step_is_the_schema_of_the_api_with_annotations(workspace: Workspace) -> None:
    types = for_form(SYSTEM, workspace.pk)["types"]
    components = schema.components()
    for name, described in types.items():
        assert list(forms_in(described))
        assert without_form(described) == components[f"WorkflowStep{name.capitalize()}"]


def test_what_only_a_form_needs_is_in_no_public_schema(viewer: APIClient) -> None:
    for path in ("/api/workflows/schema", "/api/schema"):
        answer = viewer.get(path, HTTP_ACCEPT="application/json")
        assert answer.status_code == 200
        assert FORM not in answer.content.decode()


def test_each_widget_and_list_of_words_that_a_field_asks_for_is_there(workspace: Workspace) -> None:
    script = Path(settings.BASE_DIR, "governance/static/governance/form/fields.js").read_text(encoding="utf-8")
    known = re.findall(r"^  (\w+): ?|^  (\w+),$", script[script.index("const FITS") :], re.MULTILINE)
    widgets = {one or other for one, other in known}
    form = for_form(SYSTEM, workspace.pk)
    used = [*forms_in(form["types"]), *forms_in(form["inputs"]), *forms_in(tool_kinds())]
    assert {one["widget"] for one in used if "widget" in one} <= widgets
    assert {one["suggest"] for one in forms_in(form["types"]) if "suggest" in one} <= form["words"].keys()


def test_the_settings_of_the_builder_are_json(workspace: Workspace) -> None:
    assert json.loads(json.dumps(for_form(SYSTEM, workspace.pk)))["common"][:3] == ["id", "name", "type"]
