"""A cached content as its create, read and update answer it: what its storage is charged by."""

from __future__ import annotations

from datetime import datetime

import msgspec

from gatekeeper.gemini.json_values import as_object, as_text
from gatekeeper.gemini.resource_names import resource_in_document
from gatekeeper.gemini.token_counts import read_count
from gatekeeper.times import to_micros


class CachedContent(msgspec.Struct, frozen=True, kw_only=True):
    """`name` is `cachedContents/x`, `model` without `models/`; times are microseconds since 1970. None: not
    said."""

    name: str
    model: str | None = None
    tokens: int | None = None
    created_at: int | None = None
    expires_at: int | None = None


def read_cached_content(document: bytes) -> CachedContent | None:
    """None for what is no cached content, or no JSON. Never raises."""
    try:
        found = as_object(msgspec.json.decode(document))
    # msgspec's errors are ValueErrors; deep nesting exceeds the recursion limit.
    except (ValueError, RecursionError):
        return None
    name = resource_in_document(None, (found or {}).get("name"), None, None)
    if not found or not name or not name.startswith("cachedContents/"):
        return None
    model = as_text(found.get("model"))
    return CachedContent(
        name=name,
        model=model.removeprefix("models/") if model else None,
        tokens=read_count((as_object(found.get("usageMetadata")) or {}).get("totalTokenCount")),
        created_at=_micros(found.get("createTime")),
        expires_at=_micros(found.get("expireTime")),
    )


def _micros(value: object) -> int | None:
    """A time of Google's, RFC 3339 with up to nine decimals: beyond the microsecond they are dropped."""
    try:
        moment = datetime.fromisoformat(as_text(value) or "")
        return to_micros(moment) if moment.tzinfo else None
    except (ValueError, OverflowError):
        return None
