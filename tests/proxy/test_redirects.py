"""Redirects are followed on the gateway's side: to the upstream and to Google's hosts, and nowhere else."""

from __future__ import annotations

import json
import ssl
from collections.abc import AsyncIterator, Callable
from functools import partial
from pathlib import Path
from urllib.parse import urljoin, urlsplit

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st
from rig.cases import cases
from rig.certificate import make_certificate
from rig.gateway import GOOGLE_KEY, Running, running
from rig.standin import Reply, StandIn
from rig.wire import Answer, exchange

from gatekeeper.proxy.redirects import MAX_REDIRECTS, AbsoluteUrl, is_google_origin, local_path, resolve
from gatekeeper.upstream.pool import Origin, UpstreamPool

DOWNLOAD = "GET /gemini/v1beta/files/x:download?alt=media&key=k"
STORAGE = "storage.googleapis.com"
CONTENT = "doc-0s.googleusercontent.com"
FILE = b"0123456789"
GOOGLE = Origin("https", "generativelanguage.googleapis.com", 443)
BASE = AbsoluteUrl(GOOGLE, b"/v1beta/files/x:download?alt=media")


# Which addresses


@cases(
    ("location", "origin", "target"),
    [
        (b"/download/v1/files/x?alt=media", GOOGLE, b"/download/v1/files/x?alt=media"),
        (b"y", GOOGLE, b"/v1beta/files/y"),
        (b"?alt=json", GOOGLE, b"/v1beta/files/x:download?alt=json"),
        (b"../y?a=b/../c", GOOGLE, b"/v1beta/y?a=b/../c"),
        (b"/a/../%2E%2e/%zz?sig=%2B+/#part", GOOGLE, b"/a/../%2E%2e/%zz?sig=%2B+/"),
        (b"https://storage.googleapis.com/b/o?x#y", Origin("https", STORAGE, 443), b"/b/o?x"),
        (b"HTTPS://Storage.GoogleAPIs.com:443", Origin("https", STORAGE, 443), b"/"),
        (b"https://storage.googleapis.com?a", Origin("https", STORAGE, 443), b"/?a"),
        (b"https://storage.googleapis.com//b//o", Origin("https", STORAGE, 443), b"//b//o"),
        (b"//storage.googleapis.com/b", Origin("https", STORAGE, 443), b"/b"),
        (b"http://[::1]:80/b", Origin("http", "::1", 80), b"/b"),
    ],
)
def test_the_address_of_a_location(location: bytes, origin: Origin, target: bytes) -> None:
    assert resolve(location, BASE) == AbsoluteUrl(origin, target)


@cases(
    "location",
    [
        b"https://generativelanguage.googleapis.com@evil.example/",
        b"https://user:word@storage.googleapis.com/",
        b"//storage.googleapis.com@evil.example/",
        b"https://evil.example\\@storage.googleapis.com/",
        b"https:\\\\evil.example/",
        b"\\\\evil.example/",
        b"/\\evil.example/",
        b"///evil.example/",
        b"////evil.example/",
        b"https:evil.example/",
        b"https:/evil.example/",
        b"https:///evil.example/",
        b"https://",
        b"https://:443/",
        b"https://storage.googleapis.com:443:80/",
        b"https://storage.googleapis.com:/",
        b"https://storage%2egoogleapis.com/",
        b"https://storage.googleapis.com%00.evil.example/",
        b"https://st\xc3\xb6rage.googleapis.com/",
        b"https://storage.googleapis.com /",
        b"https://storage.googleapis.com\t/",
        b" https://storage.googleapis.com/",
        b"/a b",
        b"/\xff",
        b"ftp://storage.googleapis.com/",
        b"file:///etc/passwd",
        b"javascript:alert(1)",
        b"data:text/plain,x",
    ],
)
def test_what_two_parsers_could_read_differently_is_no_address(location: bytes) -> None:
    assert resolve(location, BASE) is None


@cases(
    ("url", "expected"),
    [
        (b"https://storage.googleapis.com/", True),
        (b"https://a.b.googleusercontent.com/", True),
        (b"https://storage.googleapis.com:443/", True),
        (b"https://%b.googleapis.com/" % (63 * b"a"), True),
        (b"https://%b.googleapis.com/" % (64 * b"a"), False),
        (b"https://googleapis.com/", False),
        (b"https://.googleapis.com/", False),
        (b"https://-.googleapis.com/", False),
        (b"https://storage.googleapis.com./", False),
        (b"https://evilgoogleapis.com/", False),
        (b"https://googleapis.com.evil.example/", False),
        (b"https://storage.googleapis.com.evil.example/", False),
        (b"https://google.com/", False),
        (b"https://storage.googleapis.com:8443/", False),
        (b"https://storage.googleapis.com:99999/", False),
        (b"http://storage.googleapis.com/", False),
        (b"http://storage.googleapis.com:443/", False),
        (b"https://127.0.0.1/", False),
        (b"https://169.254.169.254/computeMetadata/v1/", False),
        (b"https://metadata.google.internal/", False),
    ],
)
def test_googles_hosts(url: bytes, expected: bool) -> None:
    address = resolve(url, BASE)
    assert address is not None
    assert is_google_origin(address.origin) == expected


PIECES = st.sampled_from(
    [
        "https:",
        "http:",
        "/",
        "//",
        "\\",
        "@",
        ":",
        "443",
        "80",
        "evil.example",
        STORAGE,
        "?",
        "#",
        ".",
        "..",
        "a",
        "%2f",
    ]
)


@given(st.lists(PIECES, max_size=8).map("".join))
def test_an_address_is_where_every_client_would_go(location: str) -> None:
    address = resolve(location.encode(), BASE)
    if address is None:
        return
    other = urlsplit(urljoin(f"https://{GOOGLE.host}{BASE.target.decode()}", location))
    assert (address.origin.scheme, address.origin.host) == (other.scheme, other.hostname)
    assert address.target.startswith(b"/")


@cases(
    ("url", "location", "local"),
    [
        ("https://up", b"https://up/v1beta/x?a=b", b"/gemini/v1beta/x?a=b"),
        ("https://up", b"/v1beta/x", b"/gemini/v1beta/x"),
        ("https://up", b"y", b"/gemini/v1beta/y"),
        ("https://up/base", b"https://up/base/v1beta/x", b"/gemini/v1beta/x"),
        ("https://up/base", b"y", b"/gemini/v1beta/y"),
        ("https://up/base", b"/v1beta/x", None),
        ("https://up/base", b"/base/../v1beta/x", None),
        ("https://up/base", b"/base/%2e%2E/v1beta/x", None),
        ("https://up/base", b"/baseball/x", None),
        ("https://up", b"http://up/x", None),
        ("https://up", b"https://up:8443/x", None),
        ("https://up", b"https://storage.googleapis.com/x", None),
        ("https://up", b"https://up@evil.example/x", None),
        ("http://up:8080", b"http://UP:8080/x", b"/gemini/x"),
    ],
)
def test_a_location_of_the_upstreams_as_one_of_this_gateway(
    url: str, location: bytes, local: bytes | None
) -> None:
    upstream = UpstreamPool(url, connect_timeout=1)
    assert local_path(location, upstream.prefix + b"/v1beta/x", upstream) == local


# Followed


def redirecting(*steps: str, final: Callable[[Reply], object] | None = None) -> Callable[[Reply], object]:
    """A script that answers one request after the other by `status location`, then by the file."""
    left = list(steps)

    async def script(reply: Reply) -> None:
        if left:
            status, _, location = left.pop(0).partition(" ")
            echo = f"x-goog-api-key: {GOOGLE_KEY}\r\nContent-Length: 4\r\n\r\ngone"
            await reply.raw(f"HTTP/1.1 {status} Moved\r\nLocation: {location}\r\n{echo}".encode())
        elif final is not None:
            await final(reply)  # type: ignore[misc]
        elif asked := reply.asked.header("range"):
            first, last = map(int, asked[0].removeprefix("bytes=").split("-"))
            where = (f"Content-Range: bytes {first}-{last}/10", 'ETag: "e"')
            await reply.json(FILE[first : last + 1], 206, where)
        else:
            await reply.json(b"" if reply.asked.method == "HEAD" else FILE)

    return script


@cases("status", [301, 302, 303, 307, 308])
@cases("absolute", [True, False])
async def test_a_download_by_a_redirect(
    gateway: Running, google: StandIn, status: int, absolute: bool
) -> None:
    place = "/download/v1beta/files/x:download?alt=media&sig=%2b"
    google.script = redirecting(f"{status} {google.url if absolute else ''}{place}")
    answer = await exchange(gateway.url, DOWNLOAD, headers=["tags: a", "Accept: */*", "X-Mine: 1"])
    assert (answer.status, answer.body, answer.whole) == (200, FILE, True)
    assert not {"location", "x-goog-api-key"} & answer.headers.keys()
    first, second = google.asked
    assert second.target == place.encode()
    assert second.headers == first.headers
    assert second.header("x-goog-api-key") == [GOOGLE_KEY]
    row = await gateway.row()
    assert (row["outcome"], row["status"], row["response_bytes"]) == ("ok", 200, len(FILE))
    assert row["path"] == "/v1beta/files/x:download"


async def test_the_google_key_goes_up_in_one_header_only(gateway: Running, google: StandIn) -> None:
    google.script = redirecting(f"302 /one?sig=%2b&key={GOOGLE_KEY}", "302 /two?key=signed")
    assert (await exchange(gateway.url, DOWNLOAD)).body == FILE
    assert [asked.target for asked in google.asked[1:]] == [b"/one?sig=%2b", b"/two?key=signed"]
    assert [asked.header("x-goog-api-key") for asked in google.asked] == [[GOOGLE_KEY]] * 3


async def test_another_name_of_this_machine_is_the_upstreams(gateway: Running, google: StandIn) -> None:
    place = google.url.replace("127.0.0.1", "localhost")
    google.script = redirecting(f"302 {place}/one")
    assert (await exchange(gateway.url, DOWNLOAD)).body == FILE
    google.script = redirecting("302 http://localhost:1/one")
    assert (await exchange(gateway.url, DOWNLOAD)).status == 502


async def test_a_range_is_kept_over_all_hops(gateway: Running, google: StandIn) -> None:
    google.script = redirecting("302 /one", "307 two", "303 /three")
    headers = ["Range: bytes=2-4", 'If-Range: "e"']
    answer = await exchange(gateway.url, DOWNLOAD, headers=headers)
    assert (answer.status, answer.body) == (206, b"234")
    assert answer.headers["content-range"] == "bytes 2-4/10"
    assert [asked.target for asked in google.asked[1:]] == [b"/one", b"/two", b"/three"]
    assert [asked.header("range") for asked in google.asked] == [["bytes=2-4"]] * 4
    assert [asked.header("if-range") for asked in google.asked] == [['"e"']] * 4


async def test_a_head_stays_a_head(gateway: Running, google: StandIn) -> None:
    google.script = redirecting("303 /one")
    answer = await exchange(gateway.url, DOWNLOAD.replace("GET", "HEAD"))
    assert (answer.status, answer.body, answer.whole) == (200, b"", True)
    assert [asked.method for asked in google.asked] == ["HEAD", "HEAD"]


@cases("size", [5, 300_000])
async def test_what_a_get_has_for_a_body_stays_where_it_was_sent(
    gateway: Running, google: StandIn, size: int
) -> None:
    google.script = redirecting("307 /one")
    answer = await exchange(gateway.url, DOWNLOAD, body=b"x" * size)
    assert (answer.status, answer.body) == (200, FILE)
    assert [len(asked.body) for asked in google.asked] == [size, 0]
    assert google.asked[1].header("content-length") == []


@cases("status", [304, 404, 416, 503])
async def test_an_error_at_the_end_of_redirects_comes_down(
    gateway: Running, google: StandIn, status: int
) -> None:
    async def fails(reply: Reply) -> None:
        length = b"" if status == 304 else b"Content-Length: 2\r\n"
        body = b"" if status == 304 else b"{}"
        await reply.raw(b"HTTP/1.1 %d No\r\nETag: e\r\n%b\r\n%b" % (status, length, body))

    google.script = redirecting("302 /one", final=fails)
    answer = await exchange(gateway.url, DOWNLOAD)
    assert (answer.status, answer.phrase, answer.headers["etag"]) == (status, "No", "e")
    assert (await gateway.row())["status"] == status


async def test_a_refused_key_at_the_end_of_redirects_is_the_gateways(
    gateway: Running, google: StandIn
) -> None:
    google.script = redirecting("302 /one", final=lambda reply: reply.json(b"{}", 401))
    answer = await exchange(gateway.url, DOWNLOAD)
    assert (answer.status, answer.reason) == (502, "GATEKEEPER_UPSTREAM_KEY_INVALID")


# Not followed


@pytest.mark.parametrize("count", [MAX_REDIRECTS, MAX_REDIRECTS + 1])
async def test_redirects_come_to_an_end(
    gateway: Running, google: StandIn, count: int, capfd: pytest.CaptureFixture[str]
) -> None:
    google.script = redirecting(*["302 /again"] * count)
    answer = await exchange(gateway.url, DOWNLOAD)
    assert len(google.asked) == MAX_REDIRECTS + 1
    if count == MAX_REDIRECTS:
        assert answer.body == FILE
        return
    assert (answer.status, answer.reason) == (502, "GATEKEEPER_UPSTREAM_UNREACHABLE")
    assert "more than 5 times" in json.loads(answer.body)["error"]["message"]
    assert (await gateway.row())["outcome"] == "upstream_error"


@pytest.mark.parametrize(
    ("location", "named"),
    [
        ("https://evil.example/x?sig=secret", "evil.example"),
        ("http://storage.googleapis.com/x?sig=secret", "storage.googleapis.com"),
        ("http://127.0.0.1:1/x?sig=secret", "127.0.0.1"),
        ("//evil.example/x?sig=secret", "evil.example"),
        ("https://storage.googleapis.com@evil.example/?sig=secret", "not a plain URL"),
        ("\\\\evil.example\\?sig=secret", "not a plain URL"),
    ],
)
async def test_a_redirect_to_another_host_is_refused_and_logged(
    gateway: Running, google: StandIn, location: str, named: str, capfd: pytest.CaptureFixture[str]
) -> None:
    google.script = redirecting(f"302 {location}")
    answer = await exchange(gateway.url, DOWNLOAD)
    assert (answer.status, answer.reason) == (502, "GATEKEEPER_UPSTREAM_UNREACHABLE")
    message = json.loads(answer.body)["error"]["message"]
    assert named in message
    assert "secret" not in message
    row = await gateway.row()
    assert (row["outcome"], row["status"]) == ("upstream_error", 502)
    assert row["error_message"] == message
    logged = "".join(capfd.readouterr())
    assert "redirect_not_followed" in logged
    assert "secret" not in logged
    assert len(google.asked) == 1


@cases(
    ("location", "local"),
    [
        ("{google}/v1beta/files/y?a=%2b", "/gemini/v1beta/files/y?a=%2b"),
        ("/v1beta/files/y", "/gemini/v1beta/files/y"),
        (f"/v1beta/files/y?key={GOOGLE_KEY}", f"/gemini/v1beta/files/y?key={'*' * len(GOOGLE_KEY)}"),
        ("https://storage.googleapis.com/y", None),
        ("https://evil.example/y", None),
    ],
)
@cases("method", ["POST", "DELETE", "PATCH", "OPTIONS"])
async def test_a_redirect_of_another_method_leads_to_this_gateway_or_nowhere(
    gateway: Running, google: StandIn, method: str, location: str, local: str | None
) -> None:
    google.script = redirecting(f"307 {location.format(google=google.url)}")
    answer = await exchange(gateway.url, f"{method} /gemini/v1beta/files/x?key=k", body=b"{}")
    assert (answer.status, answer.body) == (307, b"gone")
    assert answer.headers.get("location") == (local and f"http://localhost{local}")
    assert len(google.asked) == 1


async def test_a_308_without_a_location_is_no_redirect(gateway: Running, google: StandIn) -> None:
    """A resumable upload's `Resume Incomplete`."""
    google.script = lambda reply: reply.raw(
        b"HTTP/1.1 308 Resume Incomplete\r\nRange: bytes=0-41\r\nContent-Length: 0\r\n\r\n"
    )
    for method in ("PUT", "GET"):
        answer = await exchange(gateway.url, f"{method} /gemini/upload/v1beta/files?key=k", body=b"")
        assert (answer.status, answer.phrase) == (308, "Resume Incomplete")
        assert answer.headers["range"] == "bytes=0-41"


async def test_an_upstream_below_a_path(google: StandIn, tmp_path: Path) -> None:
    async with running(tmp_path / "data", google.url + "/base") as gateway:
        google.script = redirecting("302 /base/one", "302 two")
        assert (await exchange(gateway.url, DOWNLOAD)).body == FILE
        assert [asked.target for asked in google.asked[1:]] == [b"/base/one", b"/base/two"]
        google.script = redirecting("302 /one")
        assert (await exchange(gateway.url, DOWNLOAD)).status == 502


# To Google's hosts


class Names(trio.abc.HostnameResolver):
    """Resolves Google's names to one port of this machine."""

    def __init__(self, port: int) -> None:
        self.port = port

    async def getaddrinfo(self, host, port, family=0, type=0, proto=0, flags=0):  # noqa: A002
        assert host in (b"storage.googleapis.com", STORAGE, CONTENT, CONTENT.encode())
        return [(trio.socket.AF_INET, trio.socket.SOCK_STREAM, 6, "", ("127.0.0.1", self.port))]

    async def getnameinfo(self, sockaddr, flags):
        raise NotImplementedError


@pytest.fixture
async def storage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[StandIn]:
    """Google's other hosts, over TLS."""
    certificate = make_certificate(tmp_path / "google.pem", STORAGE, CONTENT)
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate)
    stand_in = StandIn()
    serve = partial(
        trio.serve_ssl_over_tcp, stand_in.handle, 0, context, host="127.0.0.1", https_compatible=True
    )
    async with trio.open_nursery() as nursery:
        listeners = await nursery.start(serve)
        port = listeners[0].transport_listener.socket.getsockname()[1]
        trio.socket.set_custom_hostname_resolver(Names(port))
        yield stand_in
        nursery.cancel_scope.cancel()


async def from_storage(
    gateway: Running, google: StandIn, storage: StandIn, *steps: str, headers: list[str]
) -> Answer:
    google.script = redirecting(f"302 https://{STORAGE}/bucket/object?sig=%2b")
    storage.script = redirecting(*steps)
    return await exchange(gateway.url, DOWNLOAD, headers=headers)


SECRETS = ["x-goog-api-key: virtual", "Cookie: c", "X-Mine: mine", "User-Agent: mine", "x-gatekeeper-user: u"]


async def test_googles_storage_is_asked_without_the_key_and_without_what_is_the_clients(
    gateway: Running, google: StandIn, storage: StandIn
) -> None:
    headers = [*SECRETS, "Range: bytes=1-2", "Accept: */*", "If-None-Match: e", "Accept-Encoding: br, gzip"]
    answer = await from_storage(gateway, google, storage, headers=headers)
    assert (answer.status, answer.body) == (206, b"12")
    (asked,) = storage.asked
    assert asked.target == b"/bucket/object?sig=%2b"
    assert sorted(asked.headers) == [
        (b"accept", b"*/*"),
        (b"accept-encoding", b"gzip"),
        (b"host", STORAGE.encode()),
        (b"if-none-match", b"e"),
        (b"range", b"bytes=1-2"),
    ]
    row = await gateway.row()
    assert (row["outcome"], row["status"]) == ("ok", 206)


async def test_certificates_are_read_once(
    gateway: Running, google: StandIn, storage: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    """That blocks all other calls for longer than most of them take."""
    assert (await from_storage(gateway, google, storage, headers=[])).status == 200
    monkeypatch.delenv("SSL_CERT_FILE")
    steps = [f"307 https://{CONTENT}/c"]
    assert (await from_storage(gateway, google, storage, *steps, headers=[])).status == 200


async def test_from_host_to_host_and_back(gateway: Running, google: StandIn, storage: StandIn) -> None:
    steps = [f"307 https://{CONTENT}/c", f"302 {google.url}/back"]
    answer = await from_storage(gateway, google, storage, *steps, headers=[])
    assert (answer.status, answer.body) == (200, FILE)
    assert [asked.header("host") for asked in storage.asked] == [[STORAGE], [CONTENT]]
    assert [asked.header("x-goog-api-key") for asked in storage.asked] == [[], []]
    assert google.asked[-1].header("x-goog-api-key") == [GOOGLE_KEY]


async def test_storage_cannot_lead_elsewhere(gateway: Running, google: StandIn, storage: StandIn) -> None:
    answer = await from_storage(gateway, google, storage, "302 https://evil.example/", headers=[])
    assert (answer.status, answer.reason) == (502, "GATEKEEPER_UPSTREAM_UNREACHABLE")


@cases(("status", "sent"), [(401, 502), (403, 403), (404, 404)])
async def test_a_no_of_storage_is_not_about_anybodys_key(
    gateway: Running, google: StandIn, storage: StandIn, status: int, sent: int
) -> None:
    google.script = redirecting(f"302 https://{STORAGE}/bucket/object")
    storage.script = lambda reply: reply.json(b'{"error": {"message": "API key not valid"}}', status)
    answer = await exchange(gateway.url, DOWNLOAD)
    assert answer.status == sent
    if sent == 502:
        assert answer.reason == "GATEKEEPER_UPSTREAM_UNREACHABLE"
    assert (await gateway.row())["outcome"] == "upstream_error"


async def test_storage_that_cannot_be_reached(gateway: Running, google: StandIn) -> None:
    with trio.socket.socket() as free:
        await free.bind(("127.0.0.1", 0))
        trio.socket.set_custom_hostname_resolver(Names(free.getsockname()[1]))
        google.script = redirecting(f"302 https://{STORAGE}/bucket/object?sig=secret")
        answer = await exchange(gateway.url, DOWNLOAD)
    assert (answer.status, answer.reason) == (502, "GATEKEEPER_UPSTREAM_UNREACHABLE")
    assert STORAGE in json.loads(answer.body)["error"]["message"]
    assert "secret" not in answer.body.decode()
    assert (await gateway.row())["outcome"] == "upstream_unreachable"
