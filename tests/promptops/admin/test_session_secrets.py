"""What a dump of the database, or a look at a browser's cookies, does not open."""

import importlib
from collections.abc import Callable

import pytest
from django.apps import apps
from django.contrib.sessions.backends.db import SessionStore as Former
from django.contrib.sessions.models import Session
from django.db import OperationalError, connection
from django.test import Client

from governance.identity.credentials.admin_sessions import SessionStore, stored
from governance.identity.models import Token, User
from governance.tenancy.models import Workspace
from tests.conftest import PASSWORD
from tests.promptops.admin.browser import Browser

migration = importlib.import_module("governance.migrations.0008_login_failures_and_session_digests")


def opens(key: str) -> bool:
    client = Client()
    client.cookies["sessionid"] = key
    return client.get("/admin/").status_code == 200


def test_what_the_table_of_sessions_has_is_no_cookie(make_user: Callable[..., User]) -> None:
    make_user("admin", username="nina")
    browser = Browser()
    browser.client.post("/admin/login/", {"username": "nina", "password": PASSWORD})
    key = browser.client.cookies["sessionid"].value
    assert opens(key)
    (row,) = Session.objects.all()
    assert row.session_key == stored(key)
    assert not opens(row.session_key)
    browser.post("/admin/logout/", {})
    assert not opens(key)


def test_a_session_is_saved_found_cycled_and_deleted_by_its_key(db: None) -> None:
    session = SessionStore()
    session["who"] = "nina"
    session.save()
    key = session.session_key or ""
    again = SessionStore(key)
    assert (again["who"], again.session_key, again.exists(key), again.exists("x")) == ("nina", key, True, False)
    again["who"] = "otto"
    again.cycle_key()
    assert SessionStore(key).get("who") is None
    assert SessionStore(again.session_key)["who"] == "otto"
    again.delete()
    assert not Session.objects.exists()


def test_a_session_that_could_not_be_read_is_still_there_when_the_database_is_back(
    db: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = SessionStore()
    session["who"] = "nina"
    session.save()
    again = SessionStore(session.session_key)
    with monkeypatch.context() as broken:
        broken.setattr(Session.objects, "get", away)
        with pytest.raises(OperationalError):
            again.get("who")
    assert (again.get("who"), again.session_key) == ("nina", session.session_key)


def away(**wanted: object) -> None:
    raise OperationalError("the server closed the connection")


def test_sessions_from_before_go_on(make_user: Callable[..., User]) -> None:
    browser = Browser(make_user("admin"))
    key = browser.client.cookies["sessionid"].value
    Session.objects.update(session_key=key)  # as Django keeps it
    assert Former(key).exists(key)
    migration.keep_digests(apps, None)
    assert opens(key)


def test_a_new_secret_is_on_the_next_page_once_and_in_no_cookie_and_no_row(
    make_user: Callable[..., User], workspace: Workspace
) -> None:
    browser = Browser(make_user("admin"))
    sent = browser.add_page(Token).send(name="shop", role="viewer", workspace="default")
    assert sent.status == 302
    cookies = str(sent.response.cookies) + str(browser.client.cookies)
    rows = str([session.get_decoded() for session in Session.objects.all()])
    with connection.cursor() as cursor:
        cursor.execute("SELECT session_data FROM django_session")
        rows += str(cursor.fetchall())
    page = browser.open(sent.response.headers["Location"]).text
    secret = page.partition('id="new-secret">')[2].partition("<")[0]
    assert secret.startswith("po_")
    assert secret not in cookies + rows
    assert "messages" not in browser.client.cookies
    assert secret not in browser.list_page(Token).text


@pytest.mark.django_db
def test_a_message_that_a_former_key_encrypted_is_left_out(settings: object, make_user: Callable[..., User]) -> None:
    browser = Browser(make_user("admin"))
    sent = browser.add_page(Token).send(name="shop", role="viewer", workspace="default")
    session = Session.objects.get()
    data = session.get_decoded()
    data["_messages"] = "gibberish"
    Session.objects.update(session_data=SessionStore().encode(data))
    assert browser.open(sent.response.headers["Location"]).status == 200
