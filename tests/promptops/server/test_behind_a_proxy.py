"""Behind another server: under a path of it, by a service's name, with entity tags that were made weak on the way."""

import json
import re
from collections.abc import Iterator
from http.cookies import SimpleCookie
from pathlib import Path
from urllib.parse import urljoin

import httpx
import pytest
from websockets.sync.client import connect

from tests.conftest import PASSWORD
from tests.proxies import Proxy, before
from tests.servers import TOKEN, Server, frames, running

ROOT = "/tools/promptops"
BEARER = {"Authorization": f"Bearer {TOKEN}"}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    names = "prompt_ops,.internal.example"
    folder = Path(tmp_path_factory.mktemp("server"))
    with running(folder, PROMPTOPS_ROOT_PATH=ROOT + "/", PROMPTOPS_ALLOWED_HOSTS=names) as started:
        user = {"username": "ada", "password": PASSWORD, "role": "admin"}
        made = httpx.post(f"{started.url}/api/users", json=user, headers={**BEARER, "Host": "prompt_ops"})
        assert made.status_code == 201, made.text
        yield started


@pytest.fixture(params=[True, False], ids=["taken off", "left on"])
def proxy(request: pytest.FixtureRequest, server: Server) -> Iterator[Proxy]:
    with before(server, root=ROOT, strips=request.param) as started:
        yield started


@pytest.fixture
def client(proxy: Proxy) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=proxy.url, headers=BEARER, timeout=20) as found:
        yield found


def links(page: httpx.Response) -> set[str]:
    """All addresses that a page names on its own host."""
    found = re.findall(r'(?:href|src|action|data-[a-z-]+)="(/[^"]*)"', page.text)
    return {address.partition("#")[0] for address in found}


def test_pages_links_files_forms_and_cookies_are_under_the_path(proxy: Proxy) -> None:
    origin = f"http://{proxy.address}"
    with httpx.Client(timeout=20) as browser:
        page = browser.get(f"{proxy.url}/", follow_redirects=True)
        assert str(page.url) == f"{proxy.url}/admin/login/?next={ROOT}/admin/"
        token = re.findall(r'name="csrfmiddlewaretoken" value="([^"]+)"', page.text)[0]
        form = {"username": "ada", "password": PASSWORD, "csrfmiddlewaretoken": token, "next": f"{ROOT}/admin/"}
        told = browser.post(str(page.url), data=form, headers={"Referer": str(page.url)})
        assert (told.status_code, told.headers["Location"]) == (302, f"{ROOT}/admin/")
        cookies = SimpleCookie("; ".join(told.headers.get_list("set-cookie")))
        assert {cookie["path"] for cookie in cookies.values()} == {f"{ROOT}/"}
        home = browser.get(f"{proxy.url}/admin/")
        assert home.status_code == 200
        assert 'aria-current="page"' in home.text
        addresses = links(home)
        assert len(addresses) > 10
        assert {address for address in addresses if not address.startswith(f"{ROOT}/")} == set()
        for address in sorted(addresses):
            if "logout" not in address:
                answer = browser.get(urljoin(origin, address), follow_redirects=True)
                assert answer.status_code == 200, address
                assert str(answer.url).startswith(proxy.url)
        playground = browser.get(f"{proxy.url}/admin/playground/", follow_redirects=True)
        settings = re.findall(r'(?:"|&quot;)(/[a-z][^"&]*)(?:"|&quot;)', playground.text)
        assert [address for address in settings if not address.startswith(f"{ROOT}/")] == []
        missing = browser.get(f"{proxy.url}/admin/nope/")
        assert (missing.status_code, missing.headers["Content-Type"].partition(";")[0]) == (404, "text/html")
        assert browser.get(f"{proxy.url}/admin/prompts/prompt", follow_redirects=True).status_code == 200


def test_who_guesses_at_a_password_is_refused_by_a_page(proxy: Proxy) -> None:
    with httpx.Client(timeout=20) as browser:
        page = browser.get(f"{proxy.url}/admin/login/")
        token = re.findall(r'name="csrfmiddlewaretoken" value="([^"]+)"', page.text)[0]
        form = {"username": f"nobody-{proxy.port}", "password": "wrong", "csrfmiddlewaretoken": token}
        refused = [browser.post(str(page.url), data=form, headers={"Referer": str(page.url)}) for _ in range(6)][-1]
        assert (refused.status_code, refused.headers["Content-Type"].partition(";")[0]) == (429, "text/html")
        assert int(refused.headers["Retry-After"]) > 0


def test_the_api_its_documents_and_the_probes_are_there(proxy: Proxy, client: httpx.Client, server: Server) -> None:
    assert client.get("/api/me").json()["username"] == "static token"
    assert client.get("/api/nope").json()["code"] == "not_found"
    assert client.get("/nope").json()["code"] == "not_found"
    docs = client.get("/api/docs")
    assert "style-src" in docs.headers["Content-Security-Policy"]
    files = links(docs)
    assert files
    for address in files:
        assert address.startswith(f"{ROOT}/")
        assert httpx.get(f"http://{proxy.address}{address}").status_code == 200
    assert f"{ROOT}/api/schema" in docs.text + "".join(httpx.get(f"http://{proxy.address}{one}").text for one in files)
    schema = client.get("/api/schema").json()
    base = schema.get("servers", [{"url": ""}])[0]["url"]
    assert httpx.get(f"http://{proxy.address}{base}/api/me", headers=BEARER).status_code == 200
    assert "/api/prompts" in schema["paths"]
    for path in ("/livez", "/readyz", "/health"):
        assert client.get(path).status_code == 200
        assert httpx.get(server.url + path).status_code == 200  # from beside it, without the path
    assert client.get("/metrics").status_code == 200


def test_fetches_are_answered_from_memory_and_changes_are_pushed(proxy: Proxy, client: httpx.Client) -> None:
    key = f"greeting-{proxy.port}-{proxy.strips}"
    prompt = client.post("/api/prompts", json={"key": key, "env": "prod", "content": "Hi"}).json()["data"]

    def from_memory() -> float:
        figures = client.get("/metrics").text
        return sum(map(float, re.findall(r'^promptops_fetches_total\{status="\d+"\} (\S+)$', figures, re.MULTILINE)))

    known = from_memory()
    for _ in range(50):
        answer = client.get(f"/api/sdk/prompts/{key}?env=prod")
        assert (answer.status_code, answer.json()["content"]) == (200, "Hi")
    assert from_memory() > known
    assert answer.headers["ETag"].startswith('W/"')
    same = client.get(f"/api/sdk/prompts/{key}?env=prod", headers={"If-None-Match": f'"x", {answer.headers["ETag"]}'})
    assert same.status_code == 304
    with connect(f"ws://{proxy.address}{ROOT}/ws?token={TOKEN}&namespace=prod&since=0") as stream:
        hello = json.loads(stream.recv(timeout=10))
        assert hello["type"] == "hello"
        assert client.put(f"/api/prompts/{prompt['id']}", json={"content": "Ho"}).status_code == 200
        pushed = frames(stream, until=hello["revision"] + 1)
        assert (pushed[-1]["type"], pushed[-1]["key"]) == ("prompt.updated", key)


def test_a_tag_that_was_made_weak_on_the_way_still_guards_a_write(client: httpx.Client) -> None:
    made = client.post("/api/prompts", json={"key": f"guarded-{client.base_url.port}", "content": "1"}).json()["data"]
    path = f"/api/prompts/{made['id']}"
    first = client.get(path).headers["ETag"]
    assert first.startswith('W/"')
    assert client.get(path, headers={"If-None-Match": first}).status_code == 304
    assert client.get(path, headers={"If-None-Match": f'"a", W/"b",{first}'}).status_code == 304
    assert client.put(path, json={"content": "2"}, headers={"If-Match": f'"a", {first}'}).status_code == 200
    assert client.put(path, json={"content": "3"}, headers={"If-Match": first}).status_code == 412
    assert client.put(path, json={"content": "3"}, headers={"If-Match": first.removeprefix("W/")}).status_code == 412
    for wrong in ("", 'W/""', "W/", first.strip('W/"')):
        assert client.put(path, json={"content": "3"}, headers={"If-Match": wrong}).status_code == 412
    assert client.delete(path, headers={"If-Match": client.get(path).headers["ETag"]}).status_code == 200


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("prompt_ops", 200),
        ("Prompt_Ops:8000", 200),
        ("prompt_ops.", 200),
        ("a_b.internal.example", 200),
        ("internal.example:80", 200),
        ("prompt-ops", 400),
        ("prompt_ops.evil.example", 400),
        ("evilinternal.example", 400),
        ("prompt_ops:8000:9", 400),
        ("prompt_ops:x", 400),
        ("prompt_ops@evil.example", 400),
        ("prompt_ops/x", 400),
        ("prompt_ops, prompt_ops", 400),
        ("prompt_ops\\", 400),
        ("[::1]", 400),
        ("", 400),
    ],
)
def test_a_host_with_an_underscore_is_a_host_and_only_those_that_are_allowed_are_answered(
    host: str, status: int, server: Server
) -> None:
    for path in ("/api/me", "/admin/login/"):
        answer = httpx.get(server.url + path, headers={**BEARER, "Host": host})
        assert answer.status_code == status, path
        assert status == 200 or path != "/api/me" or answer.json()["code"] == "invalid"


def test_any_host_that_is_one_is_answered_where_all_are_allowed(tmp_path: Path) -> None:
    with running(tmp_path, PROMPTOPS_ALLOWED_HOSTS="*") as server:
        for host in ("prompt_ops:8000", "localhost", "10.0.0.1:80", "[::1]:8000", "a.b-c_d.example."):
            for path in ("/livez", "/api/prompts?limit=1", "/api/sdk/prompts?env=prod", "/admin/login/"):
                assert httpx.get(server.url + path, headers={**BEARER, "Host": host}).status_code == 200, (host, path)
        for host in ("a b", "a/b", "a?b", "é", "a@b", "[::1", ":80"):
            headers = {b"Authorization": BEARER["Authorization"].encode(), b"Host": host.encode()}
            answer = httpx.get(f"{server.url}/api/me", headers=headers)
            assert answer.status_code == 400, host


@pytest.mark.parametrize("root", ["/api", "/admin/x", "promptops", "/a b", "//x", "/ws"])
def test_a_root_path_that_cannot_work_is_told_by_the_check(root: str, server: Server) -> None:
    before_ = dict(server.environment)
    server.environment["PROMPTOPS_ROOT_PATH"] = root
    try:
        with pytest.raises(AssertionError, match=r"promptops\.E010"):
            server.manage("check")
    finally:
        server.environment = before_


def test_below_a_path_too_the_api_is_not_redirected_and_a_proxy_that_is_not_trusted_is_told_of(tmp_path: Path) -> None:
    with running(
        tmp_path,
        PROMPTOPS_ROOT_PATH=ROOT,
        PROMPTOPS_PUBLIC_URL="https://prompts.example.com",
        PROMPTOPS_TRUSTED_PROXIES="10.0.0.1",
    ) as server:
        head = {**BEARER, "Host": "prompts.example.com"}
        for path in ("/api/me", f"{ROOT}/api/me", "/metrics", f"{ROOT}/metrics"):
            assert httpx.get(server.url + path, headers=head).status_code == 200, path
        assert httpx.get(f"{server.url}/admin/", headers=head).status_code == 301
        for path in ("/admin/login/", f"{ROOT}/admin/login/", "/", f"{ROOT}/"):
            told = httpx.get(server.url + path, headers={**head, "X-Forwarded-Proto": "https"})
            assert (told.status_code, "PROMPTOPS_TRUSTED_PROXIES" in told.text) == (421, True), path


def test_below_a_path_too_what_the_back_office_refuses_is_a_page(tmp_path: Path) -> None:
    with running(tmp_path, PROMPTOPS_ROOT_PATH=ROOT, PROMPTOPS_LOGIN_FAILURES="1") as server:
        with httpx.Client(base_url=server.url, timeout=20, cookies={"csrftoken": "a" * 32}) as browser:
            form = {"username": "ada", "password": "wrong", "csrfmiddlewaretoken": "a" * 32}
            answers = [browser.post(f"{ROOT}/admin/login/", data=form) for _ in range(2)]
        assert answers[-1].status_code == 429
        assert answers[-1].headers["Content-Type"].startswith("text/html")
