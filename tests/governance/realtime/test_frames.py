"""The frames of the event stream are byte for byte what the vectors say, which clients can be tried with too."""

import re
import uuid
from pathlib import Path
from typing import Any

import pytest

from governance.changes.models import Change
from governance.realtime import encoding, frames
from governance.realtime.frames import ChangeType, CloseCode, Frame
from tests.contract import vectors

VECTORS: list[dict[str, Any]] = vectors.load("frames")
DOCS = (Path(__file__).parents[3] / "docs" / "delivery.md").read_text(encoding="utf-8")
KINDS: dict[str, type[Frame]] = {
    "hello": frames.Hello,
    "heartbeat": frames.Heartbeat,
    "workflow.run": frames.WorkflowRun,
    "workflow.step": frames.WorkflowStep,
}


def named(vector: dict[str, Any]) -> str:
    return str(vector["name"])


@pytest.mark.parametrize("vector", [one for one in VECTORS if "change" in one], ids=named)
def test_a_change_is_encoded_as_before_for_those_who_ask_for_drafts_and_for_all_others(vector: dict[str, Any]) -> None:
    values = dict(vector["change"])
    if "document_repeat" in values:
        values["document"] = f'{{"content":"{values.pop("document_content") * values.pop("document_repeat")}"}}'
    change = Change(environment_id=uuid.UUID(int=1), resource_id=uuid.UUID("2" * 32), **values)
    encoded = encoding.encode_change(change, workspace="default", env="prod")
    assert (encoded.text, encoded.draft_text) == (vector["text"], vector["draft_text"])


@pytest.mark.parametrize("vector", [one for one in VECTORS if KINDS.keys() & one.keys()], ids=named)
def test_what_belongs_to_no_change_is_encoded_as_before(vector: dict[str, Any]) -> None:
    (kind,) = KINDS.keys() & vector.keys()
    assert KINDS[kind](**vector[kind]).encode() == vector["text"]


@pytest.mark.parametrize("vector", [one for one in VECTORS if "snapshot" in one], ids=named)
def test_a_snapshot_is_encoded_as_before(vector: dict[str, Any]) -> None:
    assert frames.Snapshot(**vector["snapshot"]).encode() == vector["text"]


def test_each_type_of_frame_has_a_vector() -> None:
    types = {
        *ChangeType,
        *(kind.type for kind in Frame.__subclasses__() if isinstance(getattr(kind, "type", None), str)),
    }
    seen = {re.match(r'\{"type":"([^"]+)"', vector["text"] or vector["draft_text"])[1] for vector in VECTORS}  # type: ignore[index]
    assert seen == types


def test_each_type_of_change_and_each_close_code_is_in_the_documentation() -> None:
    for change_type in ChangeType:
        assert change_type in DOCS or f"`.{change_type.partition('.')[2]}`" in DOCS
    for code in CloseCode:
        assert str(code.value) in DOCS


def test_a_change_of_a_type_that_only_a_newer_server_knows_is_passed_on() -> None:
    change = Change(
        environment_id=uuid.UUID(int=1),
        resource_id=uuid.UUID(int=2),
        type="prompt.archived",
        revision=3,
        prev_served=2,
        key="k",
        version="v1",
        served=True,
        document=None,
        etag=None,
    )
    text = encoding.encode_change(change, workspace="default", env="prod").text
    assert text is not None
    assert text.startswith('{"type":"prompt.archived","id":')
