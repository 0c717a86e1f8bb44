"""Errors of requests to the gateway, as types; each message says what to do next.

    ApiError
      Unreachable
        NothingListens
      Unauthorized
      NotFound
      BadRequest
      ServerError

The text is written here and never taken from the transport's message, which may quote the header that
carries the key.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    import httpx2

KEY_OPTIONS = "--key or GATEKEEPER_MASTER_KEY"
UNTRUSTED = re.compile(r"certificate verify failed: ([^(]+?)\.? \(")
COLUMN = re.compile(r"\bcolumn (\d+)\b")


class Fault(msgspec.Struct, frozen=True):
    """What is wrong with one of several: `index` is its place, from 0, in `list` where there are several."""

    index: int
    detail: str
    list: str = ""


class Problem(msgspec.Struct, frozen=True, kw_only=True):
    """An RFC 9457 problem document. `field` names what is wrong in the request, `column` (from 1) is the
    position of a filter's syntax error."""

    title: str = ""
    detail: str = ""
    field: str | None = None
    column: int | None = None
    faults: tuple[Fault, ...] = ()


class ApiError(RuntimeError):
    """A request failed; `problem` is the gateway's problem document, if it sent one."""

    def __init__(self, message: str, problem: Problem | None = None) -> None:
        super().__init__(message)
        self.problem = problem or Problem()


class Unreachable(ApiError):
    """No connection, no response in time, or an interrupted response."""


class NothingListens(Unreachable):
    """Nothing listens at the address, or its host's name is not known."""


class Unauthorized(ApiError):
    """No key, an unknown one, or one without the permission (401, 403)."""


class NotFound(ApiError):
    """The resource does not exist (404)."""


class BadRequest(ApiError):
    """The request is invalid: a value, a conflict (400, 409, 422 and the other 4xx)."""


class ServerError(ApiError):
    """The gateway failed (5xx), or the server is not a gateway."""


def from_transport_error(error: httpx2.TransportError, address: str) -> ApiError:
    """The transport's error as an ApiError."""
    # Imported here: modules that only match error types need no HTTP library.
    import httpx2

    match error:
        # h11 refuses to send a header with control characters; nothing else of a request is ours to spoil.
        case httpx2.LocalProtocolError():
            return Unauthorized(
                "The key has characters that no header may contain: check --key and GATEKEEPER_MASTER_KEY."
            )
        case httpx2.ConnectError() if found := UNTRUSTED.search(str(error)):
            return Unreachable(
                f"The certificate of {address} is not trusted: {found[1]}. Use a name that it is for, or set "
                "SSL_CERT_FILE to the file of its issuer's certificate."
            )
        case httpx2.ConnectError() if "WRONG_VERSION_NUMBER" in str(error):
            return Unreachable(f"The server at {address} does not speak TLS. Try http:// in its address.")
        case httpx2.ConnectError() | httpx2.ConnectTimeout():
            return NothingListens(
                f"No gateway responds at {address}. Start one with `gatekeeper serve` (add "
                "--sandbox to try it without a Google key), or give its address: --url or GATEKEEPER_URL."
            )
        # The response is not an event stream.
        case httpx2.SSEError():
            return not_a_gateway(address)
        case httpx2.TimeoutException():
            return Unreachable(f"The gateway at {address} took too long to respond. Try again in a moment.")
        case _:
            return Unreachable(f"The connection to the gateway at {address} was interrupted. Try again.")


def from_response(status: int, body: bytes, address: str, *, has_key: bool) -> ApiError:
    """An unsuccessful response, to a request with or without a key, as an ApiError."""
    problem = read_problem(body)
    text = sentence(problem.detail or problem.title)
    match status // 100:
        case 4:
            # Each 404 of a gateway has a problem document.
            if status == 404 and not text:
                return not_a_gateway(address)
            return client_error(status, text, address, problem, has_key=has_key)
        case 5:
            reason = text or "It gave no reason; its own log may."
            return ServerError(f"The gateway at {address} failed ({status}). {reason}", problem)
        case _:
            return not_a_gateway(address)


def client_error(status: int, text: str, address: str, problem: Problem, *, has_key: bool) -> ApiError:
    """The error for a 4xx response."""
    match status:
        case 401 if has_key:
            return Unauthorized(
                f"The gateway at {address} does not accept the key that it was sent: check {KEY_OPTIONS}.",
                problem,
            )
        case 401:
            return Unauthorized(
                f"The gateway at {address} requires the master key: {KEY_OPTIONS}.",
                problem,
            )
        # A virtual key whose role does not include that.
        case 403:
            reason = text or "This key may not do that."
            return Unauthorized(
                f"{reason} Use the master key, or one with that role: {KEY_OPTIONS}.", problem
            )
        case 404:
            return NotFound(text, problem)
        case _:
            return BadRequest(text or f"The gateway refused the request ({status}).", problem)


def sentence(text: str) -> str:
    """The text with a full stop at its end."""
    return text if not text or text.endswith((".", "!", "?")) else f"{text}."


def not_a_gateway(address: str) -> ServerError:
    """The error for a response that no gatekeeper gateway sends."""
    return ServerError(f"The server at {address} is not a gatekeeper gateway: check --url or GATEKEEPER_URL.")


def read_problem(body: bytes) -> Problem:
    """The problem document of a response; empty where there is none."""
    try:
        problem = msgspec.json.decode(body, type=Problem)
    except msgspec.DecodeError:
        return Problem()
    # A gateway without the member `column` may name it in the text.
    if problem.column is None and (found := COLUMN.search(problem.detail)):
        return msgspec.structs.replace(problem, column=int(found[1]))
    return problem
