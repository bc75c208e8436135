from tests import databases


def test_what_runs_on_one_database_alone_is_there_under_the_name_that_is_listed() -> None:
    assert databases.stale() == []
