"""Fields of the API, apart from any endpoint."""

import time

import pytest
from rest_framework.exceptions import ValidationError

from governance.api.fields import StringField


def test_a_lone_surrogate_is_no_text() -> None:
    with pytest.raises(ValidationError, match="U\\+D800"):
        StringField().run_validation("a \ud800 b")


def test_a_text_of_a_megabyte_is_checked_in_next_to_no_time() -> None:
    field, text = StringField(), "ä" * 1024 * 1024
    started = time.thread_time()
    assert field.run_validation(text) == text
    assert time.thread_time() - started < 0.1
