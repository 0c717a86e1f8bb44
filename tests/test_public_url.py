"""How a client is told the way back to this gateway, and what of a proxy's word is believed."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import urlsplit

from hypothesis import given
from hypothesis import strategies as st
from rig.cases import cases

from gatekeeper.public_url import client_address, forwarded_elements, public_base
from gatekeeper.settings import Settings, load

PROXY, CLIENT = "10.0.0.1", "203.0.113.9"
TRUSTED = {"GATEKEEPER_TRUSTED_PROXIES": "10.0.0.0/8, fd00::/8"}
BEHIND, ALONE = load({}, TRUSTED), load({}, {})
HOST = ("host", "gw.example")


def scope(
    *headers: tuple[str, str], peer: str = PROXY, scheme: str = "http", server: Any = ("127.0.0.1", 4000)
) -> dict[str, Any]:
    fields = [(name.encode(), value.encode("latin-1")) for name, value in headers]
    return {"scheme": scheme, "headers": fields, "client": (peer, 50000), "server": server}


@cases(
    ("request_scope", "base"),
    [
        (scope(HOST), "http://gw.example"),
        (scope(HOST, scheme="https"), "https://gw.example"),
        (scope(HOST, scheme="ws"), "http://gw.example"),
        (scope(HOST, scheme="wss"), "https://gw.example"),
        (scope(("host", "127.0.0.1:4000")), "http://127.0.0.1:4000"),
        (scope(("host", "[::1]:4000")), "http://[::1]:4000"),
        (scope(("host", "gate_keeper.internal.:80")), "http://gate_keeper.internal.:80"),
        (scope(("host", "gw.example:")), "http://gw.example"),
        # No host that could stand in a URL: the address listened on
        (scope(), "http://127.0.0.1:4000"),
        (scope(server=("127.0.0.1", 80)), "http://127.0.0.1"),
        (scope(server=("127.0.0.1", 443), scheme="https"), "https://127.0.0.1"),
        (scope(server=("127.0.0.1", 443)), "http://127.0.0.1:443"),
        (scope(server=("::1", 4000)), "http://[::1]:4000"),
        (scope(server=("::ffff:192.0.2.1", 4000)), "http://192.0.2.1:4000"),
        (scope(server=("fe80::1%eth0", 4000)), "http://[fe80::1]:4000"),
        (scope(server=None), "http://localhost"),
        (scope(HOST, ("host", "other.example")), "http://127.0.0.1:4000"),
        *((scope(("host", garbage)), "http://127.0.0.1:4000") for garbage in (
            "", " ", "a b", "user@host", "host/path", "host?q", "host#f", "host:0", "host:65536", "host:x",
            "::1", "[::g]", "[::1", "[::1%25eth0]", "..", "-h", "h\r\nx: y", "h\\evil", 'h"', "h%2f", "höst",
            "a" * 256, "a,b", "[127.0.0.1]",
        )),
    ],
)  # fmt: skip
def test_without_a_proxy_it_is_scheme_and_host(request_scope: dict[str, Any], base: str) -> None:
    assert public_base(request_scope, ALONE) == base
    assert public_base(request_scope, BEHIND) == base


PROTO, FOR = ("x-forwarded-proto", "https"), ("x-forwarded-for", CLIENT)
TOLD = [
    ([PROTO], "https://gw.example"),
    ([("x-forwarded-proto", "HTTPS")], "https://gw.example"),
    ([("x-forwarded-proto", "wss")], "https://gw.example"),
    ([("x-forwarded-proto", "ftp")], "http://gw.example"),
    ([("x-forwarded-host", "outer.example:8443"), PROTO], "https://outer.example:8443"),
    ([("x-forwarded-host", "[2001:db8::1]")], "http://[2001:db8::1]"),
    ([("x-forwarded-host", "bad host")], "http://gw.example"),
    ([("x-forwarded-port", "8443"), PROTO], "https://gw.example:8443"),
    ([("x-forwarded-port", "443"), PROTO], "https://gw.example"),
    ([("x-forwarded-port", "80"), PROTO], "https://gw.example"),
    ([("x-forwarded-port", "99999")], "http://gw.example"),
    ([("x-forwarded-port", "1@evil")], "http://gw.example"),
    ([("x-forwarded-host", "outer.example:1"), ("x-forwarded-port", "2")], "http://outer.example:1"),
    ([("x-forwarded-prefix", "/llm/")], "http://gw.example/llm"),
    ([("x-forwarded-prefix", "/a/b")], "http://gw.example/a/b"),
    *(([("x-forwarded-prefix", bad)], "http://gw.example") for bad in ("llm", "//x", "/..", "/a b", "/")),
    # Of several values the one that the outermost trusted proxy wrote
    ([("x-forwarded-proto", "http, https")], "https://gw.example"),
    ([("x-forwarded-proto", "http"), PROTO], "https://gw.example"),
    ([FOR, ("x-forwarded-host", "forged.example, outer.example")], "http://outer.example"),
    (
        [("x-forwarded-for", f"{CLIENT}, 10.1.1.1"), ("x-forwarded-proto", "https, http")],
        "https://gw.example",
    ),
    ([("x-forwarded-for", f"{CLIENT}, 10.1.1.1, 10.1.1.2"), PROTO], "https://gw.example"),
    # RFC 7239
    ([("forwarded", "proto=https;host=outer.example")], "https://outer.example"),
    ([("forwarded", 'for=1.2.3.4;Proto=HTTPS;Host="outer.example:8443"')], "https://outer.example:8443"),
    ([("forwarded", "host=forged.example, for=1.2.3.4;host=outer.example")], "http://outer.example"),
    ([("forwarded", "for=1.2.3.4;host=outer.example"), ("forwarded", "for=10.1.1.1")], "http://outer.example"),
    ([("forwarded", 'host="bad;host')], "http://gw.example"),
    ([("forwarded", "host=a;host=b")], "http://gw.example"),
    ([("forwarded", "proto=https"), ("x-forwarded-proto", "http")], "http://gw.example"),
]  # fmt: skip


@cases(("headers", "base"), TOLD)
def test_a_trusted_proxy_tells_how_it_was_reached_and_nobody_else(
    headers: list[tuple[str, str]], base: str
) -> None:
    assert public_base(scope(HOST, *headers), BEHIND) == base
    assert public_base(scope(HOST, *headers, peer="::ffff:10.0.0.1"), BEHIND) == base
    assert public_base(scope(HOST, *headers, peer="fd00::7"), BEHIND) == base
    for peer, settings in ((PROXY, ALONE), (CLIENT, BEHIND), ("", BEHIND), ("unix", BEHIND)):
        assert public_base(scope(HOST, *headers, peer=peer), settings) == "http://gw.example"


def test_the_setting_wins() -> None:
    fixed = load({}, {**TRUSTED, "GATEKEEPER_PUBLIC_URL": "https://fixed.example/llm/gemini"})
    for headers in ([HOST], [], [HOST, PROTO, ("x-forwarded-host", "outer.example")]):
        assert public_base(scope(*headers), fixed) == "https://fixed.example/llm"


@cases(
    ("headers", "address"),
    [
        ([], PROXY),
        ([FOR], CLIENT),
        ([("x-forwarded-for", f"1.1.1.1, {CLIENT}")], CLIENT),
        ([("x-forwarded-for", "1.1.1.1"), FOR], CLIENT),
        ([("x-forwarded-for", f"1.1.1.1, {CLIENT}, 10.1.1.1, fd00::2")], CLIENT),
        ([("x-forwarded-for", "10.1.1.1, 10.1.1.2")], "10.1.1.1"),
        ([("x-forwarded-for", "garbage, 10.1.1.2")], "10.1.1.2"),
        ([("x-forwarded-for", f"{CLIENT}, garbage")], PROXY),
        ([("x-forwarded-for", f"{CLIENT}:5000")], CLIENT),
        ([("x-forwarded-for", "[2001:db8::9]:5000")], "2001:db8::9"),
        ([("x-forwarded-for", "2001:db8::9")], "2001:db8::9"),
        ([("x-forwarded-for", "::ffff:203.0.113.9")], CLIENT),
        ([("x-forwarded-for", ", ".join(["1.1.1.1"] + ["10.0.0.2"] * 10000))], "10.0.0.2"),
        ([("forwarded", f"for={CLIENT}")], CLIENT),
        ([("forwarded", 'for="[2001:db8::9]:4711"')], "2001:db8::9"),
        ([("forwarded", "for=_hidden")], PROXY),
        ([("forwarded", "for=unknown, for=10.1.1.1")], "10.1.1.1"),
        ([("forwarded", f"by={PROXY}")], PROXY),
        # Both: they have to agree, because one of them may be the client's own
        ([FOR, ("forwarded", f"for={CLIENT}")], CLIENT),
        ([FOR, ("forwarded", "for=1.1.1.1")], PROXY),
        ([FOR, ("forwarded", "for=_hidden")], PROXY),
        ([FOR, ("forwarded", "proto=https")], CLIENT),
    ],
)
def test_the_client_is_the_last_address_that_is_no_trusted_proxys(
    headers: list[tuple[str, str]], address: str
) -> None:
    assert client_address(scope(*headers), BEHIND) == address
    assert client_address(scope(*headers), ALONE) == PROXY
    assert client_address(scope(*headers, peer="192.0.2.4"), BEHIND) == "192.0.2.4"


@cases(
    ("text", "elements"),
    [
        ("", []),
        ("for=a;by=b", [{"for": "a", "by": "b"}]),
        (r'For="a\"b,c;d", for=e', [{"for": 'a"b,c;d'}, {"for": "e"}]),
        ("for=[::1]:80", [{"for": "[::1]:80"}]),
        ("for=a,", [{"for": "a"}, {}]),
        ("for=a, =b", []),
        ('for="a', []),
        ("for=a b", []),
    ],
)
def test_forwarded_is_read_as_written_or_not_at_all(text: str, elements: list[dict[str, str]]) -> None:
    assert forwarded_elements(text) == elements


NAMES = ["host", "forwarded", *(f"x-forwarded-{name}" for name in ("for", "proto", "host", "port", "prefix"))]
# Pieces of which addresses are made, and what would change a URL's or a header's syntax
PIECES = st.sampled_from(
    ["a", "gw.example", "10.0.0.1", "[::1]", ":", "80", "/", "//", "..", "\\", "@", "?", "#", "%2f", "\r\n",
     " ", ",", ";", '"', "for=", "host=", "proto=", "https", "\0", "é", "[", "]", "1.2.3.4", "::ffff:"]
)  # fmt: skip
VALUES = st.lists(PIECES, max_size=8).map("".join) | st.text(st.characters(max_codepoint=255), max_size=40)
BASE = re.compile(r"https?://(\[[0-9a-fA-F:.]+\]|[A-Za-z0-9._-]+)(:[0-9]{1,5})?(/[A-Za-z0-9._~-]+)*")


@given(st.lists(st.tuples(st.sampled_from(NAMES), VALUES), max_size=6))
def test_whatever_is_sent_it_is_a_plain_url_and_an_address(headers: list[tuple[str, str]]) -> None:
    request = scope(*headers)
    base = public_base(request, BEHIND)
    assert BASE.fullmatch(base)
    parts = urlsplit(f"{base}/gemini/upload?upload_id=1")
    assert parts.hostname
    assert parts.username is None
    assert parts.port != 0
    assert parts.path.endswith("/gemini/upload")
    assert "/../" not in parts.path
    assert re.fullmatch(r"[0-9a-fA-F:.]+", client_address(request, BEHIND))


def test_a_base_is_the_same_for_a_request_that_uses_it() -> None:
    """What was handed out leads to the same base again."""
    settings: Settings = ALONE
    base = public_base(scope(HOST, scheme="https"), settings)
    assert public_base(scope(("host", urlsplit(base).netloc), scheme="https"), settings) == base
