"""What the sandbox does on command, so that everything that goes wrong with the real API can be seen.

The last text of the user may begin with one of these words:

| command | what happens |
| --- | --- |
| `!400` `!401` `!403` `!404` `!500` `!503` `!504` | Google's error of that status |
| `!429` | the quota is used up, with QuotaFailure and a RetryInfo of 23.512 s |
| `!slow` | nothing comes for 10 s, then the answer |
| `!cut` | the connection breaks in the middle of the answer |
| `!error` | a stream reports an error after its first chunks; other calls answer 503 |
| `!long` | a stream of about 60 s (20 s where it is no stream) |
| `!safety` | an answer withheld: finishReason SAFETY |
| `!blocked` | a prompt refused: promptFeedback.blockReason and no candidates |

The errors, `!slow` and `!cut` answer every call on a model that carries content: counting and embedding, too.
`COMMANDS` is this table for programs: what the command line, `GET /` and the manual show.
"""

from __future__ import annotations

from enum import StrEnum

from gatekeeper.sandbox.errors import ApiError, no_model, out_of_quota
from gatekeeper.sandbox.exchange import Answer

SLOW_SECONDS = 10.0
LONG_SECONDS = 60.0
CHUNKS_BEFORE_ERROR = 3


class Command(StrEnum):
    INVALID = "!400"
    UNAUTHENTICATED = "!401"
    DENIED = "!403"
    MISSING = "!404"
    EXHAUSTED = "!429"
    INTERNAL = "!500"
    UNAVAILABLE = "!503"
    DEADLINE = "!504"
    SLOW = "!slow"
    CUT = "!cut"
    ERROR = "!error"
    LONG = "!long"
    SAFETY = "!safety"
    BLOCKED = "!blocked"


COMMANDS: dict[str, str] = {
    "!400": "error 400 INVALID_ARGUMENT",
    "!401": "error 401 UNAUTHENTICATED",
    "!403": "error 403 PERMISSION_DENIED",
    "!404": "error 404 NOT_FOUND",
    "!429": "error 429 RESOURCE_EXHAUSTED with QuotaFailure and RetryInfo (retry in 23.512 s)",
    "!500": "error 500 INTERNAL",
    "!503": "error 503 UNAVAILABLE",
    "!504": "error 504 DEADLINE_EXCEEDED",
    "!slow": "nothing comes for 10 s, then the answer",
    "!cut": "the connection breaks in the middle of the answer",
    "!error": "a stream reports an error after its first chunks; other calls answer 503",
    "!long": "a stream of about 60 s",
    "!safety": "an answer withheld: finishReason SAFETY",
    "!blocked": "a prompt refused: promptFeedback.blockReason and no candidates",
}

OVERLOADED = 503, "The model is overloaded. Please try again later."
ERRORS: dict[Command, tuple[int, str]] = {
    Command.INVALID: (400, "Request contains an invalid argument."),
    Command.UNAUTHENTICATED: (
        401,
        "Request had invalid authentication credentials. Expected OAuth 2 access token, login cookie or "
        "other valid authentication credential. "
        "See https://developers.google.com/identity/sign-in/web/devconsole-project.",
    ),
    Command.DENIED: (403, "The caller does not have permission"),
    Command.INTERNAL: (
        500,
        "An internal error has occurred. Please retry or report in "
        "https://developers.generativeai.google/guide/troubleshooting",
    ),
    Command.UNAVAILABLE: OVERLOADED,
    Command.DEADLINE: (504, "Deadline expired before operation could complete."),
}


def command(ask: str) -> Command | None:
    """The command that a user's text begins with."""
    first = ask.split(maxsplit=1)[:1]
    return Command(first[0]) if first and first[0] in COMMANDS else None


def refuse(order: Command | None, model: str, version: str, method: str) -> None:
    """Raises the ApiError that `order` stands for, if it stands for one."""
    match order:
        case Command.EXHAUSTED:
            raise out_of_quota(model)
        case Command.MISSING:
            raise no_model(model, version, method)
        case Command() if order in ERRORS:
            raise ApiError(*ERRORS[order])
        case _:
            return


def disturbed(order: Command | None, answer: Answer) -> Answer:
    """`answer` as `!slow` or `!cut` leave it."""
    if order is Command.SLOW:
        return answer.delayed(SLOW_SECONDS)
    return answer.broken() if order is Command.CUT else answer
