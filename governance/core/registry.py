"""What the rooms above put in when they start, since nothing here knows them."""

from collections.abc import Callable

#: What each server process does every 20 seconds, on a thread that may use the database.
chores: list[Callable[[], object]] = []
