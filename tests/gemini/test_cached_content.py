"""What a cached content says of itself."""

from __future__ import annotations

import json

from rig.cases import cases

from gatekeeper.gemini.billed_resources import CachedContent, read_cached_content

CACHE = {
    "name": "cachedContents/c1",
    "model": "models/gemini-2.5-flash",
    "createTime": "2026-11-20T10:00:00.123456789Z",
    "updateTime": "2026-11-20T10:00:00Z",
    "expireTime": "2026-11-20T13:00:00+02:00",
    "usageMetadata": {"totalTokenCount": 5000},
}
CREATED = 1_795_168_800_123_456


def test_what_it_says() -> None:
    assert read_cached_content(json.dumps(CACHE).encode()) == CachedContent(
        name="cachedContents/c1",
        model="gemini-2.5-flash",
        tokens=5000,
        created_at=CREATED,
        expires_at=CREATED - 123_456 + 3600 * 10**6,
    )


# What is said instead of it.
ODD = {
    "model": [None, 7, ""],
    "usageMetadata": [None, [], {"totalTokenCount": "many"}, {"totalTokenCount": -1}],
    "createTime": [None, 7, "soon", "2026-11-20T10:00:00", "0001-01-01T00:00:00+23:00"],
}


@cases(("member", "value"), [(name, value) for name in ODD for value in ODD[name]])
def test_what_is_odd_is_not_said(member: str, value: object) -> None:
    found = read_cached_content(json.dumps(CACHE | {member: value}).encode())
    assert found is not None
    field = {"usageMetadata": "tokens", "createTime": "created_at"}.get(member, member)
    if value != "0001-01-01T00:00:00+23:00":
        assert getattr(found, field) is None


@cases("document", [b"", b"{", b"[]", b"{}", b"7", b'{"name": 7}', b'{"name": "files/x"}', b"[" * 99_999])
def test_other_documents_are_none(document: bytes) -> None:
    assert read_cached_content(document) is None
