"""The base serializer answers as DRF's does."""

import uuid
from datetime import UTC, datetime, timedelta, timezone
from types import SimpleNamespace
from typing import Any

import pytest
from rest_framework import serializers

from governance.api.fields import FlagField, StringField
from governance.api.serializers import ApiSerializer

MOMENT = datetime(2026, 1, 31, 12, 0, 0, 5, tzinfo=UTC)


class Inner(ApiSerializer):
    name = StringField()


class Everything(ApiSerializer):
    id = serializers.UUIDField()
    at = serializers.DateTimeField()
    day = serializers.DateTimeField(format="%Y")
    nested = StringField(source="owner.name")
    lacking = StringField(source="nobody.name", default=None)
    left_out = StringField(required=False)
    nothing = StringField(allow_null=True)
    items = serializers.ListField(child=serializers.IntegerField())
    inner = Inner()
    inners = Inner(many=True)
    computed = serializers.SerializerMethodField()
    called = StringField(source="shout")
    flag = FlagField()
    secret = StringField(write_only=True)

    def get_computed(self, row: Any) -> str:
        return str(self.context["what"])


VALUES: dict[str, Any] = {
    "id": uuid.UUID(int=7),
    "at": MOMENT,
    "day": MOMENT,
    "owner": {"name": "ada"},
    "nothing": None,
    "items": [1, 2],
    "inner": {"name": "x"},
    "inners": [{"name": "y"}],
    "shout": lambda: "hey",
    "flag": True,
    "secret": "s",
}


@pytest.mark.parametrize("row", [VALUES, SimpleNamespace(**{**VALUES, "owner": SimpleNamespace(name="ada")})], ids=type)
def test_what_is_answered_is_what_drf_answers_of_dictionaries_and_of_objects(row: Any) -> None:
    serializer = Everything(context={"what": "that"})
    shown = serializer.to_representation(row)
    assert shown == serializers.Serializer.to_representation(serializer, row)
    assert (shown["at"], shown["day"], shown["computed"]) == ("2026-01-31T12:00:00.000005Z", "2026", "that")
    assert (shown["nested"], shown["lacking"], shown["called"]) == ("ada", None, "hey")
    assert not {"left_out", "secret"} & shown.keys()


@pytest.mark.parametrize(
    ("moment", "text"),
    [
        (MOMENT.astimezone(timezone(timedelta(hours=2))), "2026-01-31T12:00:00.000005Z"),
        (MOMENT.replace(microsecond=0), "2026-01-31T12:00:00Z"),
        (MOMENT.replace(tzinfo=None), "2026-01-31T12:00:00.000005Z"),
        ("2026", "2026"),
    ],
    ids=["with another offset", "of a whole second", "without an offset", "as text"],
)
def test_a_time_is_answered_in_utc(moment: Any, text: str) -> None:
    assert Everything(context={"what": ""}).to_representation({**VALUES, "at": moment})["at"] == text


def test_a_value_that_is_not_there_and_has_to_be_is_an_error() -> None:
    with pytest.raises(KeyError):
        Everything(context={"what": ""}).to_representation({"id": VALUES["id"]})


def test_each_serializer_has_fields_of_its_own() -> None:
    one, two = Everything(), Everything(partial=True)
    one.fields["nested"].required = False
    assert two.fields["nested"].required
    assert all(field.parent is one for field in one.fields.values())
    assert all(field.root is two for field in two.fields.values())
    items: Any = two.fields["items"]
    assert items.child.root is two
