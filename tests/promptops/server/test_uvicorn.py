"""What we use of uvicorn beyond its documented interface: a new release is taken only when all of it is still there.

`promptops/server/protocol.py` and `governance/realtime/wire.py` extend uvicorn's protocol classes. That they do what
they should is tested with real servers (tests/promptops/test_connections.py, tests/governance/realtime). Here names and
parameters are compared, so that a failure says what has changed.
"""

import ast
import asyncio
import inspect
import re
from collections.abc import Iterator
from typing import Any

import pytest
import uvicorn
from uvicorn.config import Config
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from uvicorn.server import ServerState

from governance.realtime.wire import StreamProtocol
from promptops.server.protocol import HttpProtocol
from tests.tree import ROOT

#: The methods of uvicorn's classes that ours replace, with their parameters.
REPLACED: dict[type, dict[str, list[str]]] = {
    HttpToolsProtocol: {
        "connection_made": ["transport"],
        "connection_lost": ["exc"],
        "data_received": ["data"],
        "on_headers_complete": [],
        "on_body": ["body"],
        "on_message_complete": [],
        "handle_websocket_upgrade": [],
        "send_400_response": ["msg"],
        "_unsupported_upgrade_warning": [],
    },
    WebSocketsSansIOProtocol: {
        "connection_made": ["transport"],
        "data_received": ["data"],
        "handle_cont": ["event"],
        "handle_text": ["event"],
        "handle_bytes": ["event"],
        "handle_pong": ["event"],
        "handle_ping": [],
    },
}


def used(source: str, owner: str, within: str = "") -> set[str]:
    """The names of what a file uses of `owner`, a variable or an attribute; of one of its classes, if that is named."""
    tree: ast.AST = ast.parse((ROOT / source).read_text())
    if within:
        tree = next(node for node in ast.walk(tree) if isinstance(node, ast.ClassDef) and node.name == within)
    return set(_used(tree, owner))


def _used(tree: ast.AST, owner: str) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute):
            of = node.value
            name = of.id if isinstance(of, ast.Name) else of.attr if isinstance(of, ast.Attribute) else None
            if name == owner:
                yield node.attr


def missing(names: set[str], there: Any) -> set[str]:
    return {name for name in names if not hasattr(there, name)}


@pytest.fixture
async def config() -> Config:
    made = Config(_application, http=HttpProtocol, ws=StreamProtocol, log_config=None)
    made.load()
    return made


async def _application(scope: Any, receive: Any, send: Any) -> None:
    raise AssertionError("nothing is served here")


def test_uvicorn_is_pinned_to_the_release_that_is_installed() -> None:
    pinned = re.search(r"^uvicorn==(\S+)", (ROOT / "requirements.in").read_text(), re.MULTILINE)
    assert pinned is not None, "a range would let in a release that nobody has looked through"
    assert uvicorn.__version__ == pinned[1]


@pytest.mark.parametrize(
    ("base", "ours"), [(HttpToolsProtocol, HttpProtocol), (WebSocketsSansIOProtocol, StreamProtocol)]
)
def test_methods_that_are_replaced_are_uvicorns_with_the_same_parameters(base: type, ours: type) -> None:
    replaced = {name for name in vars(ours) if callable(vars(ours)[name]) and hasattr(base, name)} - {"__init__"}
    assert replaced == REPLACED[base].keys()
    for name, parameters in REPLACED[base].items():
        for there in (base, ours):
            assert list(inspect.signature(getattr(there, name)).parameters) == ["self", *parameters], (there, name)


async def test_what_the_http_protocol_uses_of_uvicorn_is_there(config: Config) -> None:
    source, state = "promptops/server/protocol.py", ServerState()
    ours = HttpProtocol(config, state, {})
    ours.on_message_begin()
    assert missing(used(source, "self", "HttpProtocol"), ours) == set()
    assert missing(used(source, "server_state"), state) == set()
    assert missing(used(source, "flow"), FlowControl(asyncio.Transport())) == set()
    assert missing(used(source, "parser"), ours.parser) == set()
    arguments: dict[str, Any] = dict.fromkeys(inspect.signature(RequestResponseCycle).parameters)
    cycle = RequestResponseCycle(**arguments)
    assert missing(used(source, "cycle"), cycle) == set()
    assert _bound_to(cycle.send) is cycle, "the fast lane finds the answer that it writes by the function that sends it"
    assert STATUS_LINE[304] == b"HTTP/1.1 304 Not Modified\r\n"


async def test_what_the_socket_protocol_uses_of_uvicorn_is_there(config: Config) -> None:
    source = "governance/realtime/wire.py"
    ours = StreamProtocol(config, ServerState(), {})
    set_at_the_handshake = {"scope", "request", "response"}
    assert missing(used(source, "self", "StreamProtocol") - set_at_the_handshake, ours) == set()
    assert missing((used(source, "protocol") | used(source, "_protocol")) - {"forget_handshake"}, ours) == set()
    assert missing(used(source, "conn"), ours.conn) == set()
    assert set_at_the_handshake <= _assigned(WebSocketsSansIOProtocol.handle_connect)
    assert _bound_to(ours.send) is ours, "a consumer finds its connection by the function that sends to it"


def _bound_to(method: Any) -> object:
    return method.__self__


def _assigned(function: Any) -> set[str]:
    """The attributes of `self` that a method sets."""
    return set(re.findall(r"self\.(\w+)(?:: \w+)? = ", inspect.getsource(function)))


def test_a_name_that_is_gone_is_found() -> None:
    assert missing({"send", "there_is_no_such_thing"}, RequestResponseCycle) == {"there_is_no_such_thing"}
