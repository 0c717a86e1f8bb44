"""One operation made twice, straight at Google and through the gateway: what is different."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from difflib import SequenceMatcher
from typing import Any

from e2e.clients.randomness import Normaliser
from e2e.clients.transcript import Exchange, Message

# What the contract lets a gateway change: the credential, what belongs to one connection, its own headers,
# what tells of the client and its browser, and codings, which may be narrowed.
CREDENTIALS = frozenset({"x-goog-api-key", "authorization"})
HOP_BY_HOP = frozenset(
    {"connection", "keep-alive", "te", "trailer", "transfer-encoding", "upgrade", "expect", "host"}
)
OF_THE_GATEWAY = frozenset({"tags", "x-gatekeeper-call-id", "x-gatekeeper-tags", "x-gatekeeper-user"})
ABOUT_THE_CLIENT = frozenset({"cookie", "forwarded", "via", "x-real-ip"})
# The address of an upload, once more: it is withheld, for no client reads it.
WITHHELD = frozenset({"x-goog-upload-control-url"})
OF_ONE_HANDSHAKE = frozenset(f"sec-websocket-{name}" for name in ("accept", "extensions", "key", "version"))
NOT_COMPARED = frozenset(
    CREDENTIALS
    | HOP_BY_HOP
    | OF_ONE_HANDSHAKE
    | OF_THE_GATEWAY
    | ABOUT_THE_CLIENT
    | WITHHELD
    | {"accept-encoding"}
)

Fields = dict[str, Any]
COUNTS = ("requests", "responses")
SUMMARY = (*COUNTS, "outcome")


@dataclass
class Performed:
    """One operation as it went. `asked`: what reached Google; `answered`: what came back to the client."""

    outcome: Any
    asked: list[Exchange]
    answered: list[Exchange]

    def facts(self, normaliser: Normaliser) -> Fields:
        """What must be equal, by name, in the order in which a reader wants to know of a difference."""
        normaliser.next_operation()
        facts: Fields = {"requests": len(self.asked), "responses": len(self.answered)}
        pairs = zip(_in_order(self.asked), _in_order(self.answered), strict=False)
        for number, (asked, answered) in enumerate(pairs, 1):
            method, _, target = asked.request.line.partition(" ")
            path, _, query = target.partition("?")
            path = f"/{path.lstrip('/')}"  # @google/genai's Live adds a slash to a base without a path
            facts[f"request {number} line"] = normaliser.text(f"{method} {path}?{_without_key(query)}")
            facts |= _message(f"request {number}", asked.request, normaliser)
            if answered.response:
                facts[f"response {number} status"] = answered.response.line
                facts |= _message(f"response {number}", _by_name(answered.response), normaliser)
            for name, exchange, direction in (("sent", asked, ">"), ("received", answered, "<")):
                facts[f"frames {name} {number}"] = [normaliser.text(it) for it in exchange.said(direction)]
        facts["outcome"] = normaliser.value(self.outcome)
        return facts


def _by_name(message: Message) -> Message:
    """The headers of a response mean the same in any order (RFC 9110 §5.3), but those of one name."""
    return replace(message, headers=sorted(message.headers, key=lambda header: header[0]))


def _in_order(exchanges: list[Exchange]) -> list[Exchange]:
    """By path and body: some clients make several requests at once, which arrive as it happens."""
    return sorted(exchanges, key=lambda one: (_path(one.request.line), one.request.body))


def _path(line: str) -> str:
    return line.split(" ")[1].removeprefix("/gemini").partition("?")[0]


def _message(name: str, message: Message, normaliser: Normaliser) -> Fields:
    headers = [(key, normaliser.text(value)) for key, value in message.headers if key not in NOT_COMPARED]
    length = str(len(message.body))
    return {
        f"{name} headers": [
            # Ids and times have lengths of their own; the length must be that of the body all the same.
            (key, "<length>" if key == "content-length" and value == length else value)
            for key, value in headers
        ],
        f"{name} body": normaliser.text(message.body.decode("latin-1")),
        f"{name} end": "whole" if message.whole else "broken",
    }


def _without_key(query: str) -> str:
    return "&".join(pair for pair in query.split("&") if not pair.startswith(("key=", "access_token=")))


def differences(straight: Fields, through: Fields) -> list[str]:
    """In words, one line each; empty where all is equal."""
    found: list[str] = []
    for name in SUMMARY if any(straight[name] != through[name] for name in COUNTS) else straight:
        one, other = straight.get(name), through.get(name)
        if one == other:
            continue
        if name.endswith("headers") and isinstance(one, list) and isinstance(other, list):
            found += [f"{name}: {change}" for change in _changes(one, other)]
        else:
            found.append(f"{name}: {_excerpt(one, other)}")
    return found


def _changes(one: list[Any], other: list[Any]) -> Iterator[str]:
    for kind, a, b, c, d in SequenceMatcher(None, one, other, autojunk=False).get_opcodes():
        if kind != "equal":
            yield f"{one[a:b] or 'nothing'} became {other[c:d] or 'nothing'}"


def _excerpt(one: Any, other: Any) -> str:
    """Both sides around where they part."""
    left, right = (value if isinstance(value, str) else repr(value) for value in (one, other))
    at = next(
        (i for i, (a, b) in enumerate(zip(left, right, strict=False)) if a != b), min(len(left), len(right))
    )
    start = max(0, at - 30)
    return f"…{left[start : at + 60]!r} became …{right[start : at + 60]!r}"
