"""What a call to create an ephemeral token tells about it."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st
from rig.cases import cases

from gatekeeper.gemini.sessions import MAX_LIFETIME, created_token

SECOND = 1_000_000
NOW = 1_000_000 * SECOND  # 1970-01-12T13:46:40Z
NAMED = b'{"name": "auth_tokens/secret"}'
HALF_AN_HOUR, MINUTE = NOW + 1800 * SECOND, NOW + 60 * SECOND


@cases(
    ("request_body", "response", "expected"),
    [
        (b"", NAMED, (HALF_AN_HOUR, MINUTE, 1)),
        (b"{}", NAMED, (HALF_AN_HOUR, MINUTE, 1)),
        (b"[[[", NAMED, (HALF_AN_HOUR, MINUTE, 1)),
        (
            b'{"expireTime": 5, "newSessionExpireTime": "soon", "uses": "two"}',
            NAMED,
            (HALF_AN_HOUR, MINUTE, 1),
        ),
        (
            b'{"expireTime": "1970-01-12T14:46:40Z", "newSessionExpireTime": "1970-01-12T13:46:50.5Z"}',
            NAMED,
            (NOW + 3600 * SECOND, NOW + 10_500_000, 1),
        ),
        (
            b'{"expire_time": "1970-01-12T14:46:40.123456789+00:00", "uses": 0}',
            NAMED,
            (NOW + 3600 * SECOND + 123_456, MINUTE, 0),
        ),
        (b'{"expireTime": "1970-01-12T14:46:40"}', NAMED, (NOW + 3600 * SECOND, MINUTE, 1)),
        (b'{"expireTime": "9999-12-31T23:59:59Z"}', NAMED, (NOW + MAX_LIFETIME, MINUTE, 1)),
        (
            b'{"expireTime": "1970-01-12T14:46:40Z"}',
            b'{"name": "auth_tokens/secret", "expireTime": "1970-01-12T13:46:41Z"}',
            (NOW + SECOND, MINUTE, 1),
        ),
    ],
)
def test_a_created_token(request_body: bytes, response: bytes, expected: tuple[int, int, int]) -> None:
    found = created_token(request_body, response, NOW)
    assert found == ("auth_tokens/secret", *expected)


@cases("response", [b"", b"{}", b'{"name": 1}', b'{"name": "files/x"}', b"\x1f\x8b", b"[" * 9999])
def test_no_token(response: bytes) -> None:
    assert created_token(NAMED, response, NOW) is None


@given(st.datetimes(), st.sampled_from(["", "Z", "+23:59", "-23:59"]))
def test_any_time_is_read(at, zone: str) -> None:
    body = json.dumps({"expireTime": at.isoformat() + zone}).encode()
    found = created_token(body, NAMED, NOW)
    assert found is not None
    assert found.expires_at <= NOW + MAX_LIFETIME


@given(st.binary(), st.binary())
def test_nothing_raises(request_body: bytes, response: bytes) -> None:
    assert created_token(request_body, response, NOW) is None
