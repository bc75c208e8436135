"""What the catalog promises while an environment is loaded."""

import uuid
from typing import Any

import pytest

from governance.realtime.tail import Position
from prompts.delivery.catalog import Catalog, EnvironmentSnapshot, Loaded

PROD = ("default", "prod")


async def follow(workspace_id: str) -> None:
    pass


def read(environment_id: uuid.UUID) -> Loaded:
    return Loaded(environment_id, EnvironmentSnapshot(*PROD, "epoch", 3, 3, {}), 3)


@pytest.mark.parametrize("gone", [True, False], ids=["deleted", "changes of it are missing"])
async def test_an_environment_that_is_lost_while_it_is_loaded_is_loaded_anew(gone: bool) -> None:
    """The tail tells of it once: taken over, it would be served for ever as it was, also in place of a new one."""
    catalog, old, new = Catalog(), uuid.uuid4(), uuid.uuid4()

    async def lose(*args: Any) -> Loaded:
        loaded = read(old)
        catalog.lost(old, Position(*PROD, "epoch", 3), gone=gone)
        return loaded

    async def work(*args: Any) -> Loaded:
        return read(new)

    await catalog.load(PROD, follow=follow, work=lose)
    assert catalog.find_any(PROD) is None
    await catalog.load(PROD, follow=follow, work=work)
    taken = catalog.find_any(PROD)
    assert taken is not None
    await catalog.load(PROD, follow=follow, work=lose)  # it is there: nothing is read
    assert catalog.find_any(PROD) is taken
