"""Google's errors: `{"error": {"code", "message", "status", "details"}}` (google.rpc.Status as JSON), and the
commands that simulate them and other faults of the real API.

Messages are those of recorded responses of the real API, because clients match on them. The last text of the
user may begin with one of these words:

| command | what happens |
| --- | --- |
| `!400` `!401` `!403` `!404` `!500` `!503` `!504` | Google's error of that status |
| `!429` | the quota is used up, with QuotaFailure and a RetryInfo of 23.512 s |
| `!slow` | nothing comes for 10 s, then the response |
| `!cut` | the connection breaks in the middle of the response |
| `!error` | a stream reports an error after its first chunks; other calls end with 503 |
| `!long` | a stream of about 60 s (20 s where it is no stream) |
| `!safety` | a response withheld: finishReason SAFETY |
| `!blocked` | a prompt refused: promptFeedback.blockReason and no candidates |

`!hops=3` is a long decode of three requests (`long_decode`). The errors, `!slow` and `!cut` work in every
call on a model that has content: counting and embedding, too; in a Live session an error closes it.
`COMMANDS` is this table as data: `GET /` shows it."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum

# The canonical names of google.rpc.Code for the statuses of Google's responses.
STATUS = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    409: "ALREADY_EXISTS",
    429: "RESOURCE_EXHAUSTED",
    500: "INTERNAL",
    503: "UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}
TYPES = "type.googleapis.com/google.rpc."
DOMAIN = "generativelanguage.googleapis.com"


class GoogleError(Exception):
    """A response with a status of 400 or above; `details` are google.rpc messages, `@type` first."""

    def __init__(self, code: int, message: str, details: Sequence[dict[str, object]] = ()) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.details = list(details)

    def document(self) -> dict[str, object]:
        error: dict[str, object] = {"code": self.code, "message": self.message, "status": STATUS[self.code]}
        if self.details:
            error["details"] = self.details
        return {"error": error}


class KeyRefused(GoogleError):
    """Google's front end refuses the key, in the same shape on every path."""


def invalid(message: str) -> GoogleError:
    return GoogleError(400, message)


def invalid_payload(problem: str, path: str = "") -> GoogleError:
    """A body that is not valid JSON or not a request; `path` is that of the field in snake_case."""
    message = f"Invalid JSON payload received. {problem}"
    violation: dict[str, object] = {"field": path} if path else {}
    violation["description"] = message
    return GoogleError(400, message, [{"@type": f"{TYPES}BadRequest", "fieldViolations": [violation]}])


def missing_key() -> GoogleError:
    return KeyRefused(
        403,
        "Method doesn't allow unregistered callers (callers without established identity). "
        "Please use API Key or other form of API consumer identity to call this API.",
    )


def invalid_key() -> GoogleError:
    message = "API key not valid. Please pass a valid API key."
    info: dict[str, object] = {
        "@type": f"{TYPES}ErrorInfo",
        "reason": "API_KEY_INVALID",
        "domain": "googleapis.com",
        "metadata": {"service": DOMAIN},
    }
    local: dict[str, object] = {"@type": f"{TYPES}LocalizedMessage", "locale": "en-US", "message": message}
    return KeyRefused(400, message, [info, local])


def model_not_found(model: str, version: str, method: str) -> GoogleError:
    return GoogleError(
        404,
        f"models/{model} is not found for API version {version}, or is not supported for {method}. "
        "Call ListModels to see the list of available models and their supported methods.",
    )


def file_not_found(name: str) -> GoogleError:
    """Google does not distinguish a missing file from a forbidden one."""
    return GoogleError(403, f"You do not have permission to access the File {name} or it may not exist.")


def cache_not_found() -> GoogleError:
    """Google does not distinguish a missing cache from a forbidden one."""
    return GoogleError(403, "CachedContent not found (or permission denied)")


def quota_exceeded(model: str) -> GoogleError:
    """The free tier's limit of requests per minute, with a fractional delay as Google gives it."""
    metric = f"{DOMAIN}/generate_content_free_tier_requests"
    guide = "https://ai.google.dev/gemini-api/docs/rate-limits"
    message = (
        "You exceeded your current quota, please check your plan and billing details. For more information "
        f"on this error, head to: {guide}.\n* Quota exceeded for metric: {metric}, limit: 10, "
        f"model: {model}\nPlease retry in 23.512s."
    )
    violation: dict[str, object] = {
        "quotaMetric": metric,
        "quotaId": "GenerateRequestsPerMinutePerProjectPerModel-FreeTier",
        "quotaDimensions": {"location": "global", "model": model},
        "quotaValue": "10",
    }
    links = [{"description": "Learn more about Gemini API quotas", "url": guide}]
    details: list[dict[str, object]] = [
        {"@type": f"{TYPES}Help", "links": links},
        {"@type": f"{TYPES}QuotaFailure", "violations": [violation]},
        {"@type": f"{TYPES}RetryInfo", "retryDelay": "23.512s"},
    ]
    return GoogleError(429, message, details)


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
    "!slow": "nothing comes for 10 s, then the response",
    "!cut": "the connection breaks in the middle of the response",
    "!error": "a stream reports an error after its first chunks; other calls end with 503",
    "!long": "a stream of about 60 s (20 s where it is no stream)",
    "!safety": "a response withheld: finishReason SAFETY",
    "!blocked": "a prompt refused: promptFeedback.blockReason and no candidates",
}
# Not a word of its own: any number of hops up to 99.
LONG_DECODE = "!hops=3", "a long decode of 3 hops: finishReason CONTINUATION, and a token to go on with"

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


def parse_command(prompt_text: str) -> Command | None:
    """The command that a user's text begins with."""
    # Only a whole word: `!4000` is not a command.
    first = prompt_text.split(maxsplit=1)[:1]
    return Command(first[0]) if first and first[0] in COMMANDS else None


def raise_for_command(command: Command | None, model: str, version: str, method: str) -> None:
    """Raises the GoogleError of `command`, if it is one for an error."""
    # These name the model in their message; the others have one text each.
    match command:
        case Command.EXHAUSTED:
            raise quota_exceeded(model)
        case Command.MISSING:
            raise model_not_found(model, version, method)
        case Command() if command in ERRORS:
            raise GoogleError(*ERRORS[command])
        case _:
            return


def commands_page() -> str:
    """The commands in words for people, one per line."""
    listed = [*COMMANDS.items(), LONG_DECODE]
    width = max(len(word) for word, _ in listed)
    commands = "\n".join(f"  {word:<{width}}  {meaning}" for word, meaning in listed)
    return (
        "This is gatekeeper's sandbox: a simulated Gemini API. Any API key is accepted; nothing is sent to "
        "Google.\n\n"
        f"A prompt that begins with one of these words simulates an error or a fault:\n\n{commands}\n\n"
        "GET /v1beta/models lists the models. The key `invalid` is refused as Google refuses a bad one.\n"
        "GET /v1beta/files/bytes-1000000:download?alt=media is a file of as many bytes as its name says.\n"
    )
