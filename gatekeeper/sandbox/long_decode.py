"""Long decodes: a response in several hops, each a request of its own, which a prompt requests with
`!hops=3`.

Every hop but the last ends with the finish reason CONTINUATION and a token, with which the client sends its
request again. The token contains the whole state, so nothing is stored. Like at Google each hop reads the
prompt again, and the output so far.
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
    """The state in a token; `nonce` makes the tokens of different decodes distinct."""

    hop: int
    hops: int
    written: int
    nonce: str


@dataclass(frozen=True, slots=True)
class Hop:
    """One request of a long decode: its number, the total number, and the output tokens before it."""

    number: int = 1
    hops: int = 1
    written: int = 0

    @property
    def is_last(self) -> bool:
        return self.number >= self.hops

    def end(self, tokens: int) -> Json:
        """The fields of the last chunk besides the finish reason, after this number of tokens in the hop."""
        state = _State(self.number, self.hops, self.written + tokens, secrets.token_hex(8))
        return {"continuationToken": base64.b64encode(msgspec.json.encode(state)).decode()}


def read_hop(request: Json, prompt_text: str) -> Hop:
    """The hop of a request. Raises GoogleError (400) for a token that is not from the sandbox."""
    token = text(field(request, "continuationToken"))
    if not token:
        asked = _ASKED.match(prompt_text)
        return Hop(hops=int(asked[1])) if asked else Hop()
    try:
        # SDKs send bytes in the URL-safe alphabet, with or without padding.
        raw = base64.b64decode(token.translate(_TO_STANDARD) + "==", validate=False)
        state = msgspec.json.decode(raw, type=_State)
    except (binascii.Error, ValueError):
        raise invalid("The continuation token is not valid.") from None
    return Hop(state.hop + 1, state.hops, state.written)


_TO_STANDARD = str.maketrans("-_", "+/")
