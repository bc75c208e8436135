import pytest

pytest.register_assert_rewrite("tests.faults.tools.support")  # so that a failed check in there tells what it saw
