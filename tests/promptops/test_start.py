"""What a start refuses, what it closes, and what it tells."""

import os
import re
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest

from promptops.environment import Environment
from promptops.secrets import weakness_of
from tests.servers import ROOT, TOKEN, running

#: What needs no reading of settings, so that a start with it would get as far as it can.
COMMANDS = [["quickstart"], ["serve", "--port", "1"], ["worker"], ["migrate"], ["check"]]


def manage(folder: Path, *words: str, **variables: str) -> subprocess.CompletedProcess[str]:
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    return subprocess.run(
        [sys.executable, "manage.py", *words],
        cwd=ROOT,
        env={**kept, "PROMPTOPS_DATA_DIR": str(folder), **variables},
        capture_output=True,
        text=True,
        timeout=120,
    )


@pytest.mark.parametrize("command", COMMANDS, ids=lambda words: words[0])
def test_a_setting_that_means_nothing_is_a_sentence_before_anything_is_done(command: list[str], tmp_path: Path) -> None:
    done = manage(tmp_path, *command, PROMPTOPS_TOKEN="a", PROMPTOPS_THREADS="0", DATABASE_URL="nonsense")
    assert done.returncode == 1
    assert done.stdout == ""
    assert [line.split(":")[0] for line in done.stderr.splitlines()] == [
        "PROMPTOPS_TOKEN",
        "PROMPTOPS_THREADS",
        "DATABASE_URL",
    ]
    assert not list(tmp_path.glob("*.sqlite3"))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("whole", "many"),
        ("whole", "0"),
        ("whole", "-1"),
        ("whole", "1.5"),
        ("whole", "9" * 30),
        ("number", "soon"),
        ("number", "nan"),
        ("number", "inf"),
        ("number", "-inf"),
        ("number", "0"),
        ("number", "-3"),
        ("flag", "maybe"),
        ("choice", "foo"),
        ("token", "short"),
        ("token", "promptops-dev-token"),
        ("token", "a token with spaces in between"),
        ("token", "tökén-that-is-long-enough-0123"),
        ("secret", "x"),
        ("secret", "django-insecure-3#k2jf9s8dfj2k3jf98sdfkj23"),
        ("database", "mysql://u@h/db"),
        ("database", "postgres://user:password@host:port/name"),
        ("database", "postgres://"),
        ("database", "promptops.sqlite3"),
        ("redis", "localhost:6379"),
        ("redis", "http://localhost"),
        ("proxies", "10.0.0.0/33"),
        ("proxies", "proxy.internal"),
        ("site", "prompts.example.com"),
        ("site", "https://prompts.example.com/path"),
        ("origins", "prompts.example.com"),
        ("PROMPTOPS_OPENAI_BASE_URL", "api.example.com/v1"),
    ],
)
def test_what_is_refused_is_named_with_what_was_expected_and_never_with_its_value(name: str, value: str) -> None:
    from promptops import environment

    env = Environment({name: value})
    env.int("whole", 5)
    env.float("number", 5.0)
    env.bool("flag")
    env.choice("choice", "a", ["a", "b"])
    env.token("token")
    env.secret("secret")
    env.database("database", "sqlite:////tmp/x.sqlite3")
    env.redis("redis")
    env.proxies("proxies", "127.0.0.1")
    env.site("site")
    env.list("origins", each=environment.origin, expected="origins")
    env.base_urls()
    (problem,) = env.problems
    assert problem.startswith(f"{name}: expected ")
    assert problem.endswith(".")
    assert len(value) < 12 or value not in problem


def test_what_makes_sense_is_read_with_white_space_around_it_left_out() -> None:
    env = Environment(
        {
            "t": f"  {TOKEN}\n",
            "n": " 7 ",
            "f": "On",
            "d": "postgres://u:p%40ss@/name?host=/run/postgresql",
            "p": "10.0.0.7, 2001:db8::/32",
            "l": " a , ,b ",
        }
    )
    assert (env.token("t"), env.int("n", 1), env.bool("f"), env.list("l")) == (TOKEN, 7, True, ["a", "b"])
    assert env.proxies("p", "") == ["10.0.0.7", "::ffff:10.0.0.7/128", "2001:db8::/32"]
    assert env.database("d", "sqlite:////x")["OPTIONS"] == {"host": "/run/postgresql"}
    assert (env.int("unset", 0), env.int("unset", 3)) == (0, 3)
    assert env.problems == []


@pytest.mark.parametrize(
    "secret",
    [
        "x" * 40,
        "0123456789abcdef",
        "passwordpassword1234",
        "abcabcabcabcabcabc",
        "changeme-changeme-12",
        "Qwertyuiop-12345",
    ],
)
def test_what_can_be_guessed_is_weak(secret: str) -> None:
    assert weakness_of(secret)


@pytest.mark.parametrize("secret", [TOKEN, "Zk3-pQ8_vN1xR7bT", "3f8a7c0de19b24563f8a7c0de19b2457"])
def test_what_can_not_be_guessed_is_not(secret: str) -> None:
    assert weakness_of(secret) is None


def test_a_bad_first_password_is_a_sentence_before_anything_is_migrated(tmp_path: Path) -> None:
    done = manage(tmp_path, "quickstart", PROMPTOPS_ADMIN_PASSWORD=" 12345 ")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("CommandError: PROMPTOPS_ADMIN_PASSWORD: This password is too short")
    assert not list(tmp_path.glob("*.sqlite3"))


def test_quickstart_closes_the_folder_and_prints_secrets_the_first_time_only(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    database = tmp_path / "promptops.sqlite3"
    database.touch(0o644)
    first = manage(tmp_path, "quickstart").stdout
    token, password = ((tmp_path / "secrets" / name).read_text().strip() for name in ("token", "admin_password"))
    assert token in first
    assert f"admin / {password}" in first
    for file in [*tmp_path.rglob("*")]:
        assert stat.S_IMODE(file.stat().st_mode) == (0o700 if file.is_dir() else 0o600), file
    assert stat.S_IMODE(tmp_path.stat().st_mode) == 0o700
    again = manage(tmp_path, "quickstart").stdout
    assert token not in again
    assert password not in again
    assert re.search(r"token +\(in .*/secrets/token\)", again)
    assert re.search(r"admin / \(in .*/secrets/admin_password\)", again)
    assert "Bearer '\"$(cat " in again
    given = manage(tmp_path, "quickstart", PROMPTOPS_TOKEN=TOKEN).stdout
    assert TOKEN not in given
    assert "as you set it in PROMPTOPS_TOKEN" in given


def test_with_a_public_address_the_deployment_check_is_silent_and_pages_are_https_only(tmp_path: Path) -> None:
    settings: dict[str, Any] = {"PROMPTOPS_PUBLIC_URL": "https://prompts.example.com", "PROMPTOPS_TOKEN": TOKEN}
    done = manage(tmp_path, "check", "--deploy", "--fail-level", "WARNING", **settings)
    assert (done.returncode, done.stderr) == (0, "")
    with (
        running(tmp_path, **settings, PROMPTOPS_ALLOWED_HOSTS="prompts.example.com,127.0.0.1") as server,
        httpx.Client(base_url=server.url) as client,
    ):
        host = {"Host": "prompts.example.com"}
        page = client.get("/admin/login/", headers=host)
        assert (page.status_code, page.headers["Location"]) == (301, "https://prompts.example.com/admin/login/")
        secure = client.get("/admin/login/", headers={**host, "X-Forwarded-Proto": "https"})
        assert secure.headers["Strict-Transport-Security"] == "max-age=2592000"
        assert "Secure" in secure.headers["Set-Cookie"]
        assert client.get("/livez", headers=host).status_code == 200
        assert client.get("/api/me", headers=host).status_code == 401
        assert client.get("/api/me", headers={"Host": "elsewhere.example"}).status_code == 400


def test_under_a_path_the_api_and_the_figures_are_not_redirected_to_https_either(tmp_path: Path) -> None:
    settings: dict[str, Any] = {
        "PROMPTOPS_PUBLIC_URL": "https://prompts.example.com",
        "PROMPTOPS_ROOT_PATH": "/tools/promptops",
        "PROMPTOPS_ALLOWED_HOSTS": "prompts.example.com,127.0.0.1",
    }
    with running(tmp_path, **settings) as server, httpx.Client(base_url=server.url) as client:
        assert client.get("/tools/promptops/api/me").status_code == 401
        assert client.get("/tools/promptops/metrics").status_code == 401
        assert client.get("/tools/promptops/admin/login/").status_code == 301


def test_debug_says_so_at_every_start(tmp_path: Path) -> None:
    done = manage(tmp_path, "check", DEBUG="1")
    assert "promptops.W002" in done.stderr
