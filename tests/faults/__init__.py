import pytest

pytest.register_assert_rewrite("tests.faults.support")  # so that a failed check in there tells what it saw
