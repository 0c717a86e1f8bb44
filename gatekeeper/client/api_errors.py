"""What can go wrong between this side and the gateway, as types; each message says what to do next.

    ApiError
      Unreachable
      NotAuthorised
      NotFound
      Refused
      Faulty

The text is made here and never from the transport's own message: that one may quote the header that carries
the key.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    import httpx2

HOW_TO_GIVE = "--key or GATEKEEPER_MASTER_KEY"
COLUMN = re.compile(r"\bcolumn (\d+)\b")


class Problem(msgspec.Struct, frozen=True, kw_only=True):
    """An RFC 9457 problem document. `column` (from 1) is where a filter stopped being one, if it says so."""

    title: str = ""
    detail: str = ""
    column: int | None = None


class ApiError(RuntimeError):
    """Something stood between a request and its answer; `problem` is what the gateway said, if it did."""

    def __init__(self, message: str, problem: Problem | None = None) -> None:
        super().__init__(message)
        self.problem = problem or Problem()


class Unreachable(ApiError):
    """Nobody answers, or the answer broke off."""


class NotAuthorised(ApiError):
    """No key, an unknown one, or one that may not do that (401, 403)."""


class NotFound(ApiError):
    """What was named does not exist (404)."""


class Refused(ApiError):
    """The request is at fault: a value, a conflict (400, 409, 422 and the other 4xx)."""


class Faulty(ApiError):
    """The gateway is at fault (5xx), or what answers is none."""


def unreachable(error: httpx2.TransportError, address: str) -> ApiError:
    """The transport's failure as one of ours."""
    # Here and not above: who only tells errors apart has no use for what speaks HTTP.
    import httpx2

    match error:
        case httpx2.LocalProtocolError():
            return NotAuthorised(
                "The key holds characters that no header can carry: check --key and GATEKEEPER_MASTER_KEY."
            )
        # Nobody listens there, or the name is not known.
        case httpx2.ConnectError() | httpx2.ConnectTimeout():
            return Unreachable(
                f"No gateway answers at {address}. Start one with `gatekeeper serve` (add "
                "--sandbox to try it without a Google key), or give its address: --url or GATEKEEPER_URL."
            )
        # What answered is no stream of events.
        case httpx2.SSEError():
            return strange(address)
        case httpx2.TimeoutException():
            return Unreachable(f"The gateway at {address} took too long to answer. Try again in a moment.")
        case _:
            return Unreachable(f"The connection to the gateway at {address} broke off. Try again.")


def failed(status: int, body: bytes, address: str) -> ApiError:
    """An answer that is no success, as one of ours."""
    problem = read_problem(body)
    said = sentence(problem.detail or problem.title)
    match status // 100:
        case 4:
            return at_fault(status, said, address, problem)
        case 5:
            why = said or "It gave no reason; its own log may."
            return Faulty(f"The gateway at {address} failed ({status}). {why}", problem)
        case _:
            return strange(address)


def at_fault(status: int, said: str, address: str, problem: Problem) -> ApiError:
    """For what is wrong with the request."""
    match status:
        case 401:
            return NotAuthorised(f"The gateway at {address} wants its master key: {HOW_TO_GIVE}.", problem)
        # Of a virtual key, where the master key is wanted.
        case 403:
            why = said or "This key may not do that."
            return NotAuthorised(f"{why} Use the master key: {HOW_TO_GIVE}.", problem)
        case 404:
            return NotFound(said or f"The gateway at {address} knows nothing of that name.", problem)
        case _:
            return Refused(said or f"The gateway refused the request ({status}).", problem)


def sentence(text: str) -> str:
    """With its full stop."""
    return text if not text or text.endswith((".", "!", "?")) else f"{text}."


def strange(address: str) -> Faulty:
    """For an answer that no gateway of this kind gives."""
    return Faulty(
        f"What answers at {address} does not speak as a gatekeeper does: check --url or GATEKEEPER_URL."
    )


def read_problem(body: bytes) -> Problem:
    """The problem document in an answer; empty where there is none."""
    try:
        problem = msgspec.json.decode(body, type=Problem)
    except msgspec.DecodeError:
        return Problem()
    # A gateway that does not say it as a member may say it in the text.
    if problem.column is None and (found := COLUMN.search(problem.detail)):
        return msgspec.structs.replace(problem, column=int(found[1]))
    return problem
