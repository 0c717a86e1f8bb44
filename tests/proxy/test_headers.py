"""Which header fields cross the gateway, upwards and downwards, and which are meant for it."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from rig.cases import cases

from gatekeeper.http_fields import Headers
from gatekeeper.proxy.headers import (
    accepts_gzip,
    decode_value,
    end_user,
    first_value,
    tags,
    trace_id,
    upstream_headers,
)

OURS = [(b"host", b"google"), (b"accept-encoding", b"identity"), (b"x-goog-api-key", b"AIza1")]


def up(*headers: tuple[bytes, bytes], chunked: bool = False) -> Headers:
    """What goes up of these fields beside the gateway's own."""
    sent = upstream_headers(list(headers), b"google", "AIza1", chunked=chunked)
    assert sent[0] == (b"host", b"google")
    assert [name for name, _ in sent].count(b"x-goog-api-key") == 1
    return [field for field in sent if field not in OURS]


UP = [
    b"content-type",
    b"content-length",
    b"content-encoding",
    b"accept",
    b"accept-language",
    b"user-agent",
    b"x-goog-api-client",
    b"x-goog-fieldmask",
    b"x-goog-upload-protocol",
    b"x-goog-upload-command",
    b"x-goog-user-project",
    b"x-server-timeout",
    b"range",
    b"origin",
    b"traceparent",
    b"x-http-method-override",
    b"x-anything",
]
STAYS = [
    # one connection's
    b"connection",
    b"keep-alive",
    b"proxy-connection",
    b"proxy-authorization",
    b"te",
    b"trailer",
    b"transfer-encoding",
    b"upgrade",
    b"http2-settings",
    b"expect",
    # credentials
    b"authorization",
    b"x-goog-api-key",
    b"api-key",
    b"x-api-key",
    b"x-litellm-api-key",
    b"x_api_key",
    # this gateway's own
    b"tags",
    b"x-gatekeeper-tags",
    b"x-litellm-tags",
    b"x-gatekeeper-user",
    b"x-litellm-end-user-id",
    # about the client
    b"host",
    b"cookie",
    b"forwarded",
    b"via",
    b"x-real-ip",
    b"x-forwarded-for",
    b"x-forwarded-proto",
    b"x-forwarded-anything",
    b"x-envoy-original-path",
    # the same in underscores, and what frames or describes a body
    b"x_goog_api_key",
    b"x_forwarded_for",
    b"transfer_encoding",
    b"content_length",
    b"content_encoding",
    b"content_type",
    b"x_gatekeeper-user",
    # the id of a call is made here
    b"x-gatekeeper-call-id",
]


@cases("name", UP)
def test_a_field_that_goes_up(name: bytes) -> None:
    assert up((name, b"1")) == [(name, b"1")]


@cases("name", STAYS)
def test_a_field_that_stays(name: bytes) -> None:
    assert up((name, b"1")) == []


def test_what_goes_up_keeps_its_order_its_repetitions_and_its_bytes() -> None:
    fields = [(b"b", b"\xff "), (b"a", b"1"), (b"b", b""), (b"a", b"1")]
    assert up(fields[0], (b"cookie", b"c"), *fields[1:]) == fields


def test_a_body_of_unknown_length_is_framed_anew() -> None:
    assert up((b"content-length", b"5"), (b"transfer-encoding", b"chunked"), (b"a", b"1"), chunked=True) == [
        (b"a", b"1"),
        (b"transfer-encoding", b"chunked"),
    ]


@cases(
    ("connection", "left"),
    [
        ([b"close"], [b"x-one", b"x-two"]),
        ([b"x-one"], [b"x-two"]),
        ([b"keep-alive, X-One ,x-two"], []),
        ([b"x-two", b", x-one,"], []),
    ],
)
def test_fields_that_connection_names_stay(connection: list[bytes], left: list[bytes]) -> None:
    named = [(b"connection", value) for value in connection]
    assert up((b"x-one", b""), *named, (b"x-two", b"")) == [(name, b"") for name in left]


def test_an_upstream_that_may_be_a_gateway_is_told_where_the_call_has_been() -> None:
    sent = upstream_headers(
        [(b"x-gatekeeper-call-id", b"before")], b"other", "k", chunked=False, call_ids=b"before, here"
    )
    assert [field for field in sent if field[0] == b"x-gatekeeper-call-id"] == [
        (b"x-gatekeeper-call-id", b"before, here")
    ]


@given(st.binary(max_size=30))
def test_no_text_of_a_header_becomes_a_replacement_character(value: bytes) -> None:
    texts = [decode_value(value), *tags([(b"tags", value)]), end_user({b"x-gatekeeper-user": value}) or ""]
    given_one = "\N{REPLACEMENT CHARACTER}".encode() in value
    assert given_one or "\N{REPLACEMENT CHARACTER}" not in "".join(texts)


def test_connection_cannot_take_the_frame_from_a_body() -> None:
    assert up((b"connection", b"content-length, host"), (b"content-length", b"5")) == [
        (b"content-length", b"5")
    ]


@cases(
    ("values", "narrowed"),
    [
        ([], b"identity"),
        ([b""], b"identity"),
        ([b"gzip"], b"gzip"),
        ([b"gzip, deflate, br, zstd"], b"gzip"),
        ([b"br;q=1.0, GZIP;q=0.8, *;q=0.1"], b"gzip"),
        ([b"deflate,\tgzip ; Q=0.001"], b"gzip"),
        ([b"x-gzip"], b"gzip"),
        ([b"*"], b"gzip"),
        ([b"*;q=0, gzip"], b"gzip"),
        ([b"br", b"gzip"], b"gzip"),
        ([b"gzip", b"br"], b"gzip"),
        ([b"br, zstd"], b"identity"),
        ([b"identity"], b"identity"),
        ([b"gzip;q=0"], b"identity"),
        ([b"gzip; q=0.000, *"], b"identity"),
        ([b"*;q=0"], b"identity"),
        ([b"gzipped"], b"identity"),
    ],
)
def test_accept_encoding_is_narrowed_to_what_the_meter_reads(values: list[bytes], narrowed: bytes) -> None:
    fields = [(b"accept-encoding", value) for value in values]
    sent = upstream_headers(fields, b"google", "AIza1", chunked=False)
    assert [value for name, value in sent if name == b"accept-encoding"] == [narrowed]
    assert accepts_gzip(b",".join(values)) == (narrowed == b"gzip")


NAME = st.sampled_from([*UP, *STAYS, b"accept-encoding"])


@given(st.lists(st.tuples(NAME, st.binary(max_size=5)), max_size=12), st.booleans())
def test_no_credential_of_a_client_ever_goes_up(fields: Headers, chunked: bool) -> None:
    sent = upstream_headers(fields, b"google", "AIza1", chunked=chunked)
    names = [name for name, _ in sent]
    assert first_value(sent, b"x-goog-api-key") == b"AIza1"
    assert names.count(b"x-goog-api-key") == names.count(b"host") == names.count(b"accept-encoding") == 1
    assert not {b"authorization", b"cookie"} & set(names)
    assert (b"transfer-encoding" in names) == chunked
    assert not (chunked and b"content-length" in names)


# For the gateway itself


@cases(
    ("headers", "expected"),
    [
        ([], []),
        ([(b"tags", b"a,b")], ["a", "b"]),
        ([(b"x-gatekeeper-tags", b" a ,, b\t")], ["a", "b"]),
        ([(b"x-litellm-tags", b"a")], ["a"]),
        ([(b"x-litellm-tags", b"c"), (b"tags", b"a"), (b"x-gatekeeper-tags", b"b")], ["c", "a", "b"]),
        ([(b"tags", b"b,a,b"), (b"tags", b"c,a")], ["b", "a", "c"]),
        ([(b"tags", "grün,東京".encode())], ["grün", "東京"]),
        ([(b"tags", b"\xffa")], ["ÿa"]),
        ([(b"tags", "Zürich".encode("latin-1"))], ["Zürich"]),
        ([(b"tags", b"Z%C3%BCrich,%E6%9D%B1%E4%BA%AC,a%2Cb")], ["Zürich", "東京", "a,b"]),
        (
            [(b"tags", b"100%,50%25,%FC,%zz,a%00b,a%0Ab,%E2%80%AEx,%20,a+b")],
            ["100%", "50%", "%FC", "%zz", "a%00b", "a%0Ab", "%E2%80%AEx", "a+b"],
        ),
        ([(b"tags", b"A,a")], ["A", "a"]),
        ([(b"tags", b"")], []),
        ([(b"x-tags", b"a")], []),
    ],
)
def test_tags(headers: Headers, expected: list[str]) -> None:
    assert tags(headers) == expected


@cases(
    ("headers", "expected"),
    [
        ([], None),
        ([(b"x-gatekeeper-user", b" u ")], "u"),
        ([(b"x-litellm-end-user-id", b"u")], "u"),
        ([(b"x-litellm-end-user-id", b"v"), (b"x-gatekeeper-user", b"u")], "u"),
        ([(b"x-gatekeeper-user", b" "), (b"x-litellm-end-user-id", b"v")], "v"),
        ([(b"x-gatekeeper-user", b"first"), (b"x-gatekeeper-user", b"second")], "first"),
        ([(b"x-gatekeeper-user", "Zoë".encode())], "Zoë"),
        ([(b"x-gatekeeper-user", b"")], None),
        ([(b"x-gatekeeper-user", b"Zo\xeb")], "Zoë"),
        ([(b"x-gatekeeper-user", b"Zo%C3%AB%20K")], "Zoë K"),
        ([(b"x-gatekeeper-user", b"%20"), (b"x-litellm-end-user-id", b"v")], "v"),
        ([(b"user", b"u")], None),
    ],
)
def test_the_end_user(headers: Headers, expected: str | None) -> None:
    assert end_user(dict(reversed(headers))) == expected


TRACE, SPAN = b"4bf92f3577b34da6a3ce929d0e0e4736", b"00f067aa0ba902b7"


@cases(
    ("traceparent", "expected"),
    [
        (b"00-%b-%b-01" % (TRACE, SPAN), TRACE.decode()),
        (b"cc-%b-%b-00-what-comes-later" % (TRACE, SPAN), TRACE.decode()),
        (b"00-%b-%b-01" % (b"0" * 32, SPAN), None),
        (b"00-%b-%b-01" % (TRACE.upper(), SPAN), None),
        (b"00-%b-%b-01" % (b"z" * 32, SPAN), None),
        (b"00-%b-%b-01" % (TRACE[1:], SPAN), None),
        (b"00-%b" % TRACE, None),
        (TRACE, None),
        (b"", None),
    ],
)
def test_the_trace(traceparent: bytes, expected: str | None) -> None:
    assert trace_id({b"a": b"1", b"traceparent": traceparent}) == expected
    assert trace_id({b"a": b"1"}) is None


def test_the_value_of_a_field_is_its_first() -> None:
    assert first_value([(b"a", b"1"), (b"b", b"2"), (b"b", b"3")], b"b") == b"2"
    assert first_value([(b"a", b"1")], b"b") is None
