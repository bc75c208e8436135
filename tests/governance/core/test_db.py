"""What the database's own refusals are taken for."""

import uuid
from typing import Any

import pytest
from django.db import IntegrityError, transaction

from governance.core.db import conflict_of
from governance.history.models import LogCount
from governance.identity.models import User
from governance.tenancy.models import DEFAULT_WORKSPACE, Membership, Workspace


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    ("kind", "model", "values"),
    [
        ("taken", Workspace, {"id": DEFAULT_WORKSPACE, "name": "x", "slug": "another"}),
        ("taken", Workspace, {"id": "another", "name": "x", "slug": "default"}),
        ("referred", Membership, {"user_id": uuid.UUID(int=1), "workspace_id": "nowhere"}),
        ("refused", LogCount, {"log": None}),
        ("refused", User, {"username": "x", "role": "emperor"}),
    ],
)
def test_a_row_that_the_database_refuses_is_refused_for_what_it_is(
    workspace: Workspace, kind: str, model: Any, values: dict[str, Any]
) -> None:
    with pytest.raises(IntegrityError) as refused, transaction.atomic():
        model.objects.bulk_create([model(**values)])
    assert conflict_of(refused.value) == kind
