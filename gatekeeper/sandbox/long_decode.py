"""Long decodes: a response in several hops, each a request of its own, which a prompt asks for by `!hops=3`.

Every hop but the last ends with the finish reason CONTINUATION and a token, with which the client sends its
request again. The token holds all that the sandbox must know to go on, so that nothing is stored. As at
Google each hop reads the prompt anew, and with it what was written so far.
"""

from __future__ import annotations

import base64
import binascii
import re
import secrets
from dataclasses import dataclass

import msgspec

from gatekeeper.sandbox.errors import invalid
from gatekeeper.sandbox.google_json import Json, field, text

MAX_HOPS = 99
_ASKED = re.compile(r"\s*!hops=([1-9]\d?)(?:\s|$)", re.ASCII)


class _State(msgspec.Struct):
    """What a token holds; `nonce` tells it from that of another decode."""

    hop: int
    hops: int
    written: int
    nonce: str


@dataclass(frozen=True, slots=True)
class Hop:
    """One request of a long decode: its number, how many there are, and the tokens of output before it."""

    number: int = 1
    hops: int = 1
    written: int = 0

    @property
    def is_last(self) -> bool:
        return self.number >= self.hops

    def end(self, tokens: int) -> Json:
        """What the last chunk has besides the finish reason, after so many tokens of this hop."""
        state = _State(self.number, self.hops, self.written + tokens, secrets.token_hex(8))
        return {"continuationToken": base64.b64encode(msgspec.json.encode(state)).decode()}


def read_hop(request: Json, prompt_text: str) -> Hop:
    """The hop that a request is. Raises GoogleError (400) for a token that is none of the sandbox's."""
    token = text(field(request, "continuationToken"))
    if not token:
        asked = _ASKED.match(prompt_text)
        return Hop(hops=int(asked[1])) if asked else Hop()
    try:
        # As SDKs send bytes: in the alphabet for URLs, with or without padding.
        raw = base64.b64decode(token.translate(_TO_STANDARD) + "==", validate=False)
        state = msgspec.json.decode(raw, type=_State)
    except (binascii.Error, ValueError):
        raise invalid("The continuation token is not valid.") from None
    return Hop(state.hop + 1, state.hops, state.written)


_TO_STANDARD = str.maketrans("-_", "+/")
