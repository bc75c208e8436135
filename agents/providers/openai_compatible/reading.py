"""Reads answers of OpenAI's API from bytes, whole answers and streams alike. Nothing here uses the network.

No type in an answer is taken for granted. What can't be an answer is an UnusableError with the provider's own reason.
"""

import contextlib
import json
from collections.abc import Iterator
from typing import Any

from agents.providers import pricing
from agents.providers.openai_compatible.failures import Failure, failure_in, failure_of
from agents.providers.openai_compatible.reasoning import ReasoningSplitter
from agents.providers.openai_compatible.tool_calls import NamelessError, ToolCalls
from agents.providers.protocol import Completion, ModelCall
from governance.api.parsing import storable, unstorable
from governance.realtime.events import Decoder, Received, are_events
from governance.runs.usage import TokenUsage

_MAX_COUNT = 2**31 - 1
#: Bytes of a body that are kept: they say why when there is no answer in it.
_HEAD = 2_000

#: Finish reasons of answers that are none, or half of one.
_BROKEN = frozenset(
    {"error", "abort", "aborted", "cancelled", "insufficient_system_resource", "network_error"}
    | {"malformed_function_call"}
)
#: Names under which a message has the model's reasoning, the most usual first. It goes back under the same name.
_REASONING = ("reasoning_content", "reasoning")
_REASONING_PARTS = ("reasoning_details", "thinking_blocks")
#: For reasoning that came as a part of the content; it is not sent back to the provider.
_THINKING = "thinking"
_JOINED = ("text", "summary", "data", "thinking", "signature")


class UnusableError(Exception):
    """There is no answer, or half of one. `verb` says what the provider did, `reason` why, if it said so."""

    def __init__(self, verb: str, reason: str = "") -> None:
        super().__init__(f"{verb}: {reason}" if reason else verb)


def _broken_off(failure: Failure) -> UnusableError:
    return UnusableError("broke off", failure.reason or "it did not say why")


class Answer:
    """An answer as it comes, in bytes: `feed` and `end` return the output so far, `completion` the whole answer."""

    def __init__(self) -> None:
        self._head = b""
        self._body: list[bytes] = []
        self._events: Decoder | None = None
        self._is_document = False
        self._message = _Message()
        self._done = False

    @property
    def output(self) -> str:
        """All output that was returned until now."""
        return self._message.output

    def feed(self, piece: bytes) -> Iterator[str]:
        """Take a piece of the body. Raises UnusableError for a failure in a stream."""
        if len(self._head) < _HEAD:
            self._head = (self._head + piece[:_HEAD]).lstrip()  # white space keeps a connection open, for long at times
        if self._events is None and not self._is_document:
            self._body.append(piece)
            kind = are_events(self._head)
            if kind is None:
                return
            self._is_document = not kind
            if kind:
                self._events = Decoder()
                piece = b"".join(self._body)
                self._body.clear()
            else:
                return
        if self._events is None:
            self._body.append(piece)
            return
        yield from self._output_of(self._decoded(self._events.feed(piece)))

    def end(self) -> Iterator[str]:
        """The body is over. Raises UnusableError when there is no answer in it."""
        if self._events is None:
            yield from self._read_document(b"".join(self._body))
        else:
            try:
                yield from self._output_of(self._decoded(self._events.end()))
            except UnusableError:
                if self._message.ends is None and not self._done and self._message.begun:
                    raise UnusableError("broke off", "the stream ended in the middle of an event") from None
                raise
            if not self._message.begun:
                raise UnusableError("answered without a completion", failure_of(self._beginning()).reason)
        yield from filter(None, [self._message.rest()])

    def completion(self, call: ModelCall) -> Completion:
        """The whole answer. Raises UnusableError for half of one."""
        message = self._message
        ends = (message.ends or "").lower()
        if ends in _BROKEN:
            raise UnusableError("broke off", f"it ended with {ends}")
        if self._events is not None and message.ends is None and not self._done:
            raise UnusableError("broke off", "the stream ended without saying that the answer is over")
        return message.completion(call)

    def _read_document(self, body: bytes) -> Iterator[str]:
        try:
            value = json.loads(body.decode("utf-8-sig"))
        except (ValueError, RecursionError) as error:
            text = self._beginning()
            if not text.strip() or text.lstrip().startswith("<"):
                raise UnusableError("answered without a completion", failure_of(text).reason) from None
            why = "it is nested too deep" if isinstance(error, RecursionError) else str(error)
            shown = " ".join(text[:200].split())
            raise UnusableError("answered in a way that can't be read", f"{why}: {shown}") from None
        failure = failure_in(value)
        if failure is not None:
            with contextlib.suppress(UnusableError):  # there may be half of an answer beside it
                self._message.take(value, whole=True)
            yield from filter(None, [self._message.new(), self._message.rest()])
            if self._message.output:
                raise _broken_off(failure)
            raise UnusableError("answered without a completion", failure.reason)
        if not self._message.take(value, whole=True):
            reason = "" if isinstance(value, dict) and "choices" in value else failure_of(self._beginning()).reason
            raise UnusableError("answered without a completion", reason)
        yield from filter(None, [self._message.new()])

    def _decoded(self, events: Iterator[Received]) -> Iterator[Received]:
        try:
            yield from events
        except UnicodeDecodeError:
            raise UnusableError("answered in a way that can't be read", "it is not UTF-8") from None

    def _output_of(self, events: Iterator[Received]) -> Iterator[str]:
        for event in events:
            data = event.data.strip()
            if self._done or not data:
                continue
            if data == "[DONE]":
                self._done = True
                continue
            if event.name == "error":
                raise _broken_off(failure_of(data))
            try:
                value = json.loads(data)
            except (ValueError, RecursionError):
                raise UnusableError("answered in a way that can't be read", " ".join(data[:200].split())) from None
            failure = failure_in(value)
            if failure is not None:
                self._message.take(value, whole=False)  # some send the last piece of the output beside it
                yield from filter(None, [self._message.new()])
                raise _broken_off(failure)
            self._message.take(value, whole=False)
            yield from filter(None, [self._message.new()])

    def _beginning(self) -> str:
        return self._head[:_HEAD].decode("utf-8", "replace")


def has_words(value: Any) -> bool:
    """Whether there is output of the model in an answer, or in an event of a stream: it was paid for."""
    message = _Message()
    with contextlib.suppress(UnusableError):
        message.take(value, whole=True)
    return bool(message.new() or message.rest())


class _Message:
    """The model's message, put together from one piece or from many."""

    def __init__(self) -> None:
        self.begun = False
        self.ends: str | None = None
        self._model: str | None = None
        self._usage: Any = None
        self._splitter = ReasoningSplitter()
        self._output: list[str] = []
        self._new: list[str] = []
        self._half_character = ""
        self._refusal: list[str] = []
        self._reasoning: dict[str, list[str]] = {}
        self._parts: dict[str, list[dict[str, Any]]] = {}
        self._tool_calls = ToolCalls()
        self._unread: set[str] = set()

    @property
    def output(self) -> str:
        return "".join(self._output)

    def take(self, value: Any, *, whole: bool) -> bool:
        """Add an answer, or an event of a stream. Returns whether there is a message, or a piece of one, in it."""
        if not isinstance(value, dict):
            return False
        self._usage = value["usage"] if isinstance(value.get("usage"), dict) else self._usage
        self._model = _text(value.get("model")) or self._model
        choices = value.get("choices")
        choice = choices[0] if isinstance(choices, list) and choices else None
        if not isinstance(choice, dict):
            return False
        self.ends = _text(choice.get("finish_reason")) or self.ends
        delta, message = choice.get("delta"), choice.get("message")
        if isinstance(delta, dict):
            self._add(delta, whole=whole)
        elif isinstance(message, dict):
            if whole or not self._output:  # some streams end with all of it once more
                self._add(message, whole=True)
        elif isinstance(choice.get("text"), str):
            self._add_text(choice["text"])
        elif whole:
            return False
        self.begun = True
        return True

    def new(self) -> str:
        """The output since the last call of this."""
        text = "".join(self._new)
        self._new.clear()
        return text

    def rest(self) -> str:
        """The output that was kept back because it could have been the beginning of a mark or half of a character."""
        self._add_output(_clean(self._half_character))
        self._half_character = ""
        self._add_output(self._splitter.end(), plain=True)
        return self.new()

    def completion(self, call: ModelCall) -> Completion:
        try:
            calls = self._tool_calls.result()
        except NamelessError as error:
            raise UnusableError("answered in a way that can't be read", str(error)) from None
        output, refusal, ends = self.output, _clean("".join(self._refusal)), self.ends
        if self._unread and not output and not calls:
            raise UnusableError("answered without a completion", f"it sent {', '.join(sorted(self._unread)[:5])}")
        if refusal and ends in {None, "stop"}:
            ends = "refusal"
        reasoning = next((self._reasoning[name] for name in (*_REASONING, _THINKING) if name in self._reasoning), [])
        return Completion(
            output=output,
            model=self._model or call.model,
            finish_reason=ends,
            usage=usage_of(self._usage, call, output),
            tool_calls=calls,
            reasoning=_clean("".join(reasoning)) or self._splitter.reasoning,
            refusal=refusal or None,
            carried=self._carried() if calls else {},
        )

    def _carried(self) -> dict[str, Any]:
        """The fields of the message that the provider wants back with the outputs of its calls."""
        texts = {name: _clean("".join(pieces)) for name, pieces in self._reasoning.items() if name in _REASONING}
        parts = {name: json.loads(_clean(json.dumps(parts))) for name, parts in self._parts.items()}
        return {name: value for name, value in (*texts.items(), *parts.items()) if value}

    def _add(self, part: dict[str, Any], *, whole: bool) -> None:
        for name in _REASONING:
            if isinstance(part.get(name), str):
                self._reasoning.setdefault(name, []).append(part[name])
        for name in _REASONING_PARTS:
            if isinstance(part.get(name), list):
                _join(self._parts.setdefault(name, []), part[name])
        self._read_content(part.get("content"))
        self._refuse(part.get("refusal"))
        self._tool_calls.add(part.get("tool_calls"), whole=whole)
        if isinstance(part.get("function_call"), dict):  # what tool_calls were called first
            self._tool_calls.add({"function": part["function_call"]}, whole=whole)

    def _read_content(self, content: Any) -> None:
        if isinstance(content, str):
            self._add_text(content)
            return
        for part in content if isinstance(content, list) else [content]:
            if isinstance(part, dict):
                self._read_part(part)
            elif part is not None:
                raise UnusableError("answered without a completion", "its content is neither a text nor parts of one")

    def _read_part(self, part: dict[str, Any]) -> None:
        text = part.get("text")
        text = text.get("value") if isinstance(text, dict) else text
        kind = part.get("type")
        if kind in ("thinking", "reasoning", "redacted_thinking"):
            inner = part.get("thinking", part.get("reasoning", text))
            pieces = inner if isinstance(inner, list) else [inner]
            texts = [one.get("text") if isinstance(one, dict) else one for one in pieces]
            self._reasoning.setdefault(_THINKING, []).extend(one for one in texts if isinstance(one, str))
        elif kind == "refusal":
            self._refuse(part.get("refusal", text))
        elif isinstance(text, str):
            self._add_text(text)
        elif kind is not None:
            self._unread.add(_text(kind) or "something else")

    def _refuse(self, text: Any) -> None:
        if isinstance(text, str) and text:
            self._refusal.append(text)
            self._add_text(text)

    def _add_text(self, text: str) -> None:
        text = self._half_character + text
        self._half_character = ""
        if "\ud800" <= text[-1:] <= "\udbff":  # the other half of the character comes with the next piece
            self._half_character, text = text[-1:], text[:-1]
        self._add_output(_clean(text))

    def _add_output(self, text: str, *, plain: bool = False) -> None:
        text = text if plain else self._splitter.feed(text)
        if text:
            self._output.append(text)
            self._new.append(text)


def usage_of(value: Any, call: ModelCall, output: str) -> TokenUsage:
    """The provider's own count of tokens; what it leaves out is estimated."""
    counts = value if isinstance(value, dict) else {}
    prompt, answered = _count(counts, "prompt_tokens"), _count(counts, "completion_tokens")
    details = counts.get("prompt_tokens_details")
    return TokenUsage(
        prompt_tokens=pricing.prompt_tokens(call) if prompt is None else prompt,
        output_tokens=pricing.tokens(output) if answered is None else answered,
        cached_tokens=_count(details, "cached_tokens") if isinstance(details, dict) else None,
        estimated=prompt is None or answered is None,
    )


def _join(parts: list[dict[str, Any]], further: list[Any]) -> None:
    """Add parts of the reasoning that come in pieces: pieces with the same index are one part."""
    for part in further:
        if not isinstance(part, dict):
            continue
        index = part.get("index")
        same = next((one for one in parts[-4:] if index is not None and one.get("index") == index), None)
        if same is None:
            parts.append(dict(part))
            continue
        for name, value in part.items():
            known = same.get(name)
            joins = name in _JOINED and isinstance(known, str) and isinstance(value, str)
            same[name] = f"{known}{value}" if joins else (known if value is None else value)


def _count(holder: dict[str, Any], name: str) -> int | None:
    value = holder.get(name)
    return value if type(value) is int and 0 <= value <= _MAX_COUNT else None


def _text(value: Any) -> str | None:
    return _clean(value)[:200] if isinstance(value, str) else None


def _clean(text: str) -> str:
    """The text without characters that can't be stored. Two halves of a character (surrogates) become one."""
    if not unstorable(text):
        return text
    whole = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return storable(whole)
