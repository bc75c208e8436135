"""Writers of one process on SQLite stand in line."""

import threading
import time
from collections.abc import Callable

import pytest
from django.db import connection, transaction

from governance.access.models import AccessRevision
from governance.tenancy.models import Environment
from promptops.db.sqlite3.base import Line

pytestmark = pytest.mark.skipif(connection.vendor != "sqlite", reason="other databases have a line of their own")


def test_transactions_have_their_turn_in_the_order_of_asking(
    transactional_db: None, environment: Callable[[str], Environment]
) -> None:
    environment("prod")
    order: list[int] = []

    def write(number: int) -> None:
        with transaction.atomic():
            AccessRevision.objects.filter(pk=1).update(revision=number)
            order.append(number)
            time.sleep(0.01)
        connection.close()

    writers = [threading.Thread(target=write, args=[number]) for number in range(20)]
    with transaction.atomic():
        for writer in writers:
            writer.start()
            time.sleep(0.02)  # the next one asks later
    for writer in writers:
        writer.join(20)
    assert order == list(range(20))


@pytest.mark.parametrize("end", ["commit", "error", "closed connection", "refused begin"])
def test_a_turn_ends_with_its_transaction_however_that_ends(transactional_db: None, end: str) -> None:
    if end == "commit":
        with transaction.atomic():
            pass
    elif end == "error":
        with pytest.raises(KeyError), transaction.atomic():
            raise KeyError
    elif end == "closed connection":
        with transaction.atomic():
            connection.close()
    else:
        connection.ensure_connection()
        connection.connection.close()
        with pytest.raises(Exception, match="closed"), transaction.atomic():
            pass
        connection.close()
    done = threading.Event()

    def write() -> None:
        with transaction.atomic():
            done.set()
        connection.close()

    other = threading.Thread(target=write)
    other.start()
    assert done.wait(5)
    other.join(5)


def test_whoever_gives_up_waiting_leaves_the_line() -> None:
    line = Line()
    assert line.enter(0)
    assert not line.enter(0.05)
    line.leave()
    assert line.enter(0)
