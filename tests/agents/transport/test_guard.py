"""The guard of outgoing addresses: what is not public is not called, whatever it is written like."""

import ipaddress
import socket
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pytest_django import Settings
from rest_framework.test import APIClient
from werkzeug import Response

from agents.transport import bridge, outbound
from governance.core.errors import ProviderError
from governance.runs.models import Run
from tests.agents.upstream import Upstream

PRIVATE = [
    "127.0.0.1",
    "0.0.0.0",  # noqa: S104
    "10.1.2.3",
    "172.16.0.1",
    "192.168.1.1",
    "100.64.0.1",
    "169.254.169.254",
    "198.18.0.1",
    "224.0.0.1",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "::127.0.0.1",
    "::ffff:127.0.0.1",
    "::ffff:169.254.169.254",
    "64:ff9b::7f00:1",
    "64:ff9b:1::a00:1",
    "2002:7f00:1::",
    "2001:0:7f00:1::",
    "fe80::1",
    "fe80::1%eth0",
    "fec0::1",
    "fc00::1",
    "ff02::1",
    "2001:db8::1",
    *("192.0.0.1", "192.0.0.9", "192.0.0.170", "192.0.0.192", "192.0.0.255", "192.0.2.1", "192.31.196.1"),
    *("192.52.193.1", "192.88.99.1", "192.175.48.1", "198.19.255.255", "198.51.100.1", "203.0.113.1"),
    *("168.63.129.16", "100.100.100.200", "::ffff:192.0.0.192", "::ffff:0:10.0.0.1", "64:ff9b::c000:c0"),
    *("2002:c000:c0::", "2001::1", "2001:1::1", "2001:2::1", "2001:20::1", "2001:30::1", "2620:4f:8000::1"),
    *("100::1", "100:0:0:1::1", "3fff::1", "5f00::1", "fd00:ec2::254", "2606:4700::5efe:a00:1", "4000::1"),
    "2606:4700::200:5efe:169.254.169.254",
]
PUBLIC = ["8.8.8.8", "1.1.1.1", "2606:4700:4700::1111", "::ffff:8.8.8.8", "64:ff9b::808:808"]
PUBLIC += ["191.255.255.255", "192.0.1.1", "168.63.129.17", "2002:808:808::", "2606:4700::5efe:808:808"]


@pytest.mark.parametrize("address", PRIVATE)
def test_an_address_that_is_not_globally_routable_is_not_public(address: str) -> None:
    assert not outbound.is_public(address)


@pytest.mark.parametrize("address", PUBLIC)
def test_an_address_of_the_internet_is_public(address: str) -> None:
    assert outbound.is_public(address)


@given(st.ip_addresses(v=4))
def test_an_ipv6_address_that_carries_an_ipv4_address_is_as_public_as_that(carried: ipaddress.IPv4Address) -> None:
    number, expected = int(carried), outbound.is_public(str(carried))
    for carrier in (0xFFFF << 32 | number, 0x64FF9B << 96 | number, 0x2002 << 112 | number << 80):
        assert outbound.is_public(str(ipaddress.IPv6Address(carrier))) is expected


FORMS = [
    "https://127.0.0.1",
    "https://10.0.0.8",
    "https://169.254.169.254",
    "https://[::1]",
    "https://[::ffff:127.0.0.1]",
    "https://[64:ff9b::7f00:1]",
    "https://2130706433",
    "https://0177.0.0.1",
    "https://0x7f000001",
    "https://127.1",
    "https://localhost",
    "https://a@127.0.0.1",
    "https://api.openai.com@127.0.0.1",
    "https://127.0.0.1\\@api.openai.com",
    "http://api.openai.com",
    "https://127.0.0.1#@api.openai.com",
    "https://127.0.0.1?@api.openai.com",
]


@pytest.mark.parametrize("form", FORMS)
def test_a_provider_that_an_admin_puts_at_an_address_which_is_not_public_is_never_called(
    admin: APIClient, viewer: APIClient, canary: Upstream, form: str
) -> None:
    head, _, rest = form.partition("://")
    host, mark, tail = rest.partition("#") if "#" in rest else rest.partition("?")
    url = f"{head}://{host}:{canary.server.port}{mark}{tail}/v1"
    stored = admin.post("/api/providers", {"name": "here", "base_url": url, "default_model": "m", "api_key": "sk-x"})
    if stored.status_code == 400:
        assert list(stored.json()["fields"]) == ["base_url"]
        return
    assert stored.status_code == 201, stored.json()
    answer = viewer.post("/api/playground/run", {"content": "x", "provider": "here"})
    assert (answer.status_code, "not public" in answer.json()["error"]) == (502, True), answer.json()
    [run] = Run.objects.all()
    assert (run.status, run.error) == ("error", answer.json()["error"])


class Resolver:
    """A name server that answers in turn, the last answer for ever."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *answers: list[str]) -> None:
        self.answers, self.asked = list(answers), 0
        self.real = socket.getaddrinfo
        monkeypatch.setattr(socket, "getaddrinfo", self)

    def __call__(self, host: Any, port: Any, *args: Any, **kwargs: Any) -> Any:
        if host not in ("rebinds.example", b"rebinds.example"):
            return self.real(host, port, *args, **kwargs)
        self.asked += 1
        addresses = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in addresses]


def test_a_name_that_means_another_place_the_second_time_is_connected_to_where_it_was_checked(
    admin: APIClient, viewer: APIClient, canary: Upstream, monkeypatch: pytest.MonkeyPatch, settings: Settings
) -> None:
    settings.PROMPTOPS_PROVIDER_TIMEOUT = 1
    names = Resolver(monkeypatch, ["192.0.2.1"], ["127.0.0.1"])
    monkeypatch.setattr(outbound, "is_public", lambda address: address != "127.0.0.1")  # 192.0.2.1 leads nowhere at all
    url = f"https://rebinds.example:{canary.server.port}/v1"
    admin.post("/api/providers", {"name": "there", "base_url": url, "default_model": "m"})
    answer = viewer.post("/api/playground/run", {"content": "x", "provider": "there"})
    assert answer.status_code in (502, 504), answer.json()
    assert names.asked == 1


def test_a_name_is_refused_when_one_of_its_addresses_is_not_public(monkeypatch: pytest.MonkeyPatch) -> None:
    Resolver(monkeypatch, ["8.8.8.8", "10.0.0.1"])
    with pytest.raises(ProviderError, match=r"10\.0\.0\.1, which is not public"):
        bridge.run(lambda: outbound.admit("https://rebinds.example/v1"))


def test_an_allowed_name_is_called_wherever_it_leads_and_by_each_of_its_addresses_in_turn(
    viewer: APIClient, upstream: Upstream, monkeypatch: pytest.MonkeyPatch, settings: Settings
) -> None:
    Resolver(monkeypatch, ["127.0.0.9", "127.0.0.1"])  # nobody listens at the first
    port = upstream.server.port
    settings.PROMPTOPS_OUTBOUND_ALLOW = [f"rebinds.example:{port}"]
    wishes = {
        "content": "x",
        "provider": "openai",
        "api_key": "sk-mine",
        "base_url": f"http://rebinds.example:{port}/v1",
    }
    assert viewer.post("/api/playground/run", wishes).status_code == 200
    assert upstream.requests[0].headers["Host"] == f"rebinds.example:{port}"


def test_a_redirect_to_a_canary_is_not_followed_in_a_stream_either(
    viewer: APIClient, upstream: Upstream, canary: Upstream
) -> None:
    upstream.answers(Response(status=307, headers={"Location": f"{canary.base_url}/chat/completions"}))
    answer = viewer.post("/api/playground/run", {"content": "x", "provider": "ollama", "stream": True})
    assert answer.status_code == 502
