"""What browser tests share: people, a watch over their pages, and the look at accessibility."""

import contextlib
import re
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from http.cookies import SimpleCookie
from typing import Any

import httpx
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import ConsoleMessage, Page

from tests.servers import Server

PASSWORD = "correct-horse-battery"
SWITCHES = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
PHONE = {"viewport": {"width": 390, "height": 844}, "is_mobile": True, "has_touch": True}

_REPORT_VIOLATIONS = """
document.addEventListener("securitypolicyviolation", (event) => {
  console.error(`CSP: ${event.violatedDirective} refused ${event.blockedURI} ${event.sample}`);
});
"""


@dataclass(frozen=True)
class Person:
    name: str

    @classmethod
    def of_role(cls, server: Server, role: str, **fields: Any) -> "Person":
        """The one of that name if there is one; else they are made. `fields` are the API's."""
        name = fields.pop("username", role)
        with server.client() as client:
            body = {"username": name, "password": PASSWORD, "role": role, **fields}
            answer = client.post("/api/users", json=body)
        assert answer.status_code in {201, 409}, answer.text
        return cls(name)

    def log_in(self, server: Server) -> list[dict[str, str]]:
        """Log in as a browser does, without its weight; returns the cookies."""
        with httpx.Client(base_url=server.url) as client:
            client.get("/admin/login/")
            form = {"username": self.name, "password": PASSWORD, "csrfmiddlewaretoken": client.cookies["csrftoken"]}
            answer = client.post("/admin/login/?next=/admin/", data=form)
            assert answer.status_code == 302, answer.text
            kept = SimpleCookie()
            for name, value in client.cookies.items():
                kept[name] = value
        return [{"name": name, "value": morsel.value, "url": server.url} for name, morsel in kept.items()]


class Watch:
    """Notes what no page may do: an error on the console, an exception, a violation of the policy."""

    def __init__(self) -> None:
        self.problems: list[str] = []
        self._expected: re.Pattern[str] | None = None

    def over(self, page: Page) -> Page:
        page.on("console", lambda message: self._console(page, message))
        page.on("pageerror", lambda error: self._note(page, f"exception: {error}"))
        page.add_init_script(_REPORT_VIOLATIONS)
        return page

    @contextlib.contextmanager
    def expecting(self, pattern: str) -> Iterator[None]:
        """What is noted meanwhile and fits `pattern` is what the test is about."""
        self._expected = re.compile(pattern)
        yield
        self._expected = None

    def _console(self, page: Page, message: ConsoleMessage) -> None:
        if message.type == "error":
            self._note(page, f"console: {message.text} ({message.location.get('url', '')})")

    def _note(self, page: Page, problem: str) -> None:
        if self._expected is None or not self._expected.search(problem):
            self.problems.append(f"{page.url}: {problem}")


def axe(page: Page, *rules: str) -> None:
    """Fail if axe-core, or these `rules` of it, find a serious or critical fault on the page as it is now."""
    # To look into style sheets that import others, axe would make <style> elements, which the policy refuses.
    options = {"resultTypes": ["violations"], "preload": False, **({"runOnly": list(rules)} if rules else {})}
    violations = Axe().run(page, options=options).response["violations"]
    grave = [violation for violation in violations if violation["impact"] in {"serious", "critical"}]
    told = [f"{fault['id']}: {[node['html'][:160] for node in fault['nodes'][:3]]}" for fault in grave]
    assert told == [], f"{page.url}: {told}"


def key(word: str = "prompt") -> str:
    """A key that no other test uses: they share a server."""
    return f"{word}-{uuid.uuid4().hex[:8]}"


def make_prompt(server: Server, *contents: str, **fields: Any) -> dict[str, Any]:
    """A prompt in `prod`, published once for each of `contents` but the last, which is its draft; by the API."""
    with server.client() as client:
        body = {"key": key(), "env": "prod", "content": contents[0], **fields}
        prompt = _data(client.post("/api/prompts", json=body))
        for content in contents[1:]:
            _data(client.post("/api/prompts/publish", json={"id": prompt["id"]}))
            _data(client.put(f"/api/prompts/{prompt['id']}", json={"content": content}))
        return _data(client.get(f"/api/prompts/{prompt['id']}"))


def _data(answer: httpx.Response) -> dict[str, Any]:
    assert answer.is_success, answer.text
    data: dict[str, Any] = answer.json()["data"]
    return data
