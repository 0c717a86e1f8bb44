"""The errors of the admin API: RFC 9457 problem documents (`application/problem+json`).

`type` is `about:blank`, so `title` is the reason phrase of the status code; `detail` says what is wrong and
what is allowed. Further members are `field` (in the body, the query or the headers), `allowed`, and `column`
(in a filter, from 1).
"""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus

import msgspec
from hypercorn.typing import ASGISendCallable

from gatekeeper.server.request_validation import MalformedRequest


class Problem(Exception):
    """An error response. `members` are added to the document, `headers` to the response; neither may contain
    secrets."""

    def __init__(
        self, status: int, detail: str, *, headers: Mapping[str, str] | None = None, **members: object
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.headers = headers or {}
        self.members = members

    def document(self) -> dict[str, object]:
        title = HTTPStatus(self.status).phrase
        known: dict[str, object] = {
            "type": "about:blank",
            "title": title,
            "status": self.status,
            "detail": self.detail,
        }
        return known | self.members


def invalid(field: str, detail: str, allowed: str | list[str]) -> Problem:
    """The 400 for an invalid value."""
    return Problem(HTTPStatus.BAD_REQUEST, detail, field=field, allowed=allowed)


def invalid_cursor(what: str) -> Problem:
    return invalid(
        "cursor", f"`cursor`: invalid cursor, no page of {what} ended there", "give a page's `next_cursor`"
    )


async def reject_malformed(malformed: MalformedRequest, send: ASGISendCallable) -> None:
    """Sends the response to a malformed request, which never reaches Quart."""
    problem = malformed_problem(malformed)
    await send_document(problem.status, problem.document(), send)


def malformed_problem(malformed: MalformedRequest) -> Problem:
    status = HTTPStatus.REQUEST_ENTITY_TOO_LARGE if malformed.too_large else HTTPStatus.BAD_REQUEST
    return Problem(status, malformed.message)


async def send_document(status: int, document: Mapping[str, object], send: ASGISendCallable) -> None:
    """Sends a response without Quart."""
    body = msgspec.json.encode(document)
    media_type = b"application/json" if status == HTTPStatus.OK else b"application/problem+json"
    headers = [
        (b"content-type", media_type),
        (b"content-length", b"%d" % len(body)),
        (b"cache-control", b"no-store"),
    ]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body, "more_body": False})
