"""Cross-origin requests (https://fetch.spec.whatwg.org/#http-cors-protocol): as Google does, every page may
read every response, and a preflight needs no key."""

from __future__ import annotations

from dataclasses import replace

from gatekeeper.sandbox.wire import HttpResponse, Request, response

METHODS = b"DELETE,GET,HEAD,OPTIONS,PATCH,POST,PUT"
EXPOSED = (
    b"vary,content-encoding,date,server,content-length,content-range,x-goog-upload-chunk-granularity,"
    b"x-goog-upload-control-url,x-goog-upload-size-received,x-goog-upload-status,x-goog-upload-url"
)


def preflight_response(request: Request) -> HttpResponse | None:
    """None if the request is not a preflight."""
    headers = request.headers
    if request.method != "OPTIONS" or "access-control-request-method" not in headers:
        return None
    allowed = headers.get("access-control-request-headers", "").encode()
    return response(
        200,
        b"text/html; charset=UTF-8",
        b"",
        (b"access-control-allow-methods", METHODS),
        (b"access-control-max-age", b"3600"),
        *(((b"access-control-allow-headers", allowed),) if allowed else ()),
    )


def readable_by_page(answer: HttpResponse, request: Request) -> HttpResponse:
    """The response with what lets the page that sent the request read it, if one did."""
    origin = request.headers.get("origin", "").encode()
    if not origin:
        return answer
    shared = (b"access-control-allow-origin", origin), (b"access-control-expose-headers", EXPOSED)
    return replace(answer, headers=(*answer.headers, *shared))
