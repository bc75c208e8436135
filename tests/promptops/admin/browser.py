"""A browser without scripts: it opens a page of the admin, fills in the form that is there, and sends it."""

import re
from html.parser import HTMLParser
from typing import Any

from django.contrib.messages import get_messages
from django.db.models import Model
from django.test import Client
from django.urls import reverse

from governance.identity.models import User


class _Forms(HTMLParser):
    """What each form of a page would send if it were sent as it is."""

    def __init__(self) -> None:
        super().__init__()
        self.forms: list[dict[str, list[str]]] = []
        self.posted: list[bool] = []
        self.select = self.textarea = self.text = ""
        self.first: str | None = None
        self.several = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        name = given.get("name", "")
        if tag == "form":
            self.forms.append({})
            self.posted.append(given.get("method") == "post")
        elif tag == "select":
            self.select, self.first, self.several = name, None, "multiple" in given
        elif tag == "option" and self.select:
            if "selected" in given:
                self._add(self.select, given["value"])
            elif self.first is None:
                self.first = given["value"]
        elif tag == "textarea":
            self.textarea, self.text = name, ""
        elif tag == "input" and name and given.get("type") != "submit":
            if given.get("type") != "checkbox":
                self._add(name, given.get("value", ""))
            elif "checked" in given:
                self._add(name, given.get("value", "on"))

    def handle_data(self, data: str) -> None:
        if self.textarea:
            self.text += data

    def handle_endtag(self, tag: str) -> None:
        if tag == "select":
            if not self.several and self.first is not None:
                self.forms[-1].setdefault(self.select, [self.first])  # a browser takes the first, when none is selected
            self.select = ""
        elif tag == "textarea":
            # A text area's first line end is no part of it, and all others are sent as CR LF.
            self._add(self.textarea, "\r\n".join(re.split("\r\n|\r|\n", self.text.removeprefix("\n"))))
            self.textarea = ""

    def _add(self, name: str, value: str) -> None:
        if self.forms:
            self.forms[-1].setdefault(name, []).append(value)


class Page:
    def __init__(self, browser: "Browser", response: Any) -> None:
        self.browser, self.response = browser, response
        self.status: int = response.status_code
        self.text: str = response.content.decode()
        self.path: str = response.request["PATH_INFO"]

    @property
    def form(self) -> dict[str, list[str]]:
        """What the page's main form, the last one that is posted, would send; others are for scripts or filters."""
        reader = _Forms()
        reader.feed(self.text)
        return [form for form, posted in zip(reader.forms, reader.posted, strict=True) if posted][-1]

    @property
    def errors(self) -> dict[str, list[str]]:
        """The form's errors by field; `__all__` are those of no field."""
        form = self.response.context["adminform"].form
        return {name: [str(problem) for problem in problems] for name, problems in form.errors.items()}

    @property
    def messages(self) -> list[str]:
        return [str(message) for message in get_messages(self.response.wsgi_request)]

    def send(self, **fields: Any) -> "Page":
        """Send the form with these fields filled in; the page that follows."""
        return self.browser.post(self.path, {**self.form, **fields})


class Browser:
    """Somebody at the admin."""

    def __init__(self, user: User | None = None) -> None:
        self.client = Client()
        self.user = user
        if user is not None:
            self.client.force_login(user, backend="django.contrib.auth.backends.ModelBackend")

    def open(self, path: str, **query: Any) -> Page:
        return Page(self, self.client.get(path, query))

    def post(self, path: str, fields: dict[str, Any], *, follow: bool = False) -> Page:
        return Page(self, self.client.post(path, fields, follow=follow))

    def list_page(self, model: type[Model], **query: Any) -> Page:
        return self.open(url(model, "changelist"), **query)

    def add_page(self, model: type[Model], **query: Any) -> Page:
        return self.open(url(model, "add"), **query)

    def change_page(self, row: Model) -> Page:
        return self.open(url(row, "change"))

    def delete(self, row: Model) -> Page:
        """Delete it by its page, confirmed."""
        return self.post(url(row, "delete"), {"post": "yes"})

    def act(self, action: str, *rows: Model, **fields: Any) -> Page:
        """Choose rows in the list and do `action` to them; the list that follows."""
        chosen = {"action": action, "_selected_action": [str(row.pk) for row in rows]}
        return self.post(url(type(rows[0]), "changelist"), {**chosen, **fields}, follow=True)

    def operation(self, row: Model, name: str, **query: Any) -> Page:
        return self.open(url(row, name), **query)


def url(target: Model | type[Model], page: str) -> str:
    """The address of a page of a model (changelist, add) or of a row (change, delete, an operation)."""
    meta = target._meta
    name = f"admin:{meta.app_label}_{meta.model_name}_{page}"
    return reverse(name, args=[target.pk]) if isinstance(target, Model) else reverse(name)
