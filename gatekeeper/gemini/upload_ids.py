"""The `upload_id` of a resumable upload's requests, which is all that they need to be accepted."""

from __future__ import annotations

from urllib.parse import unquote_plus

from gatekeeper.gemini.evasion import alphanumerics


def upload_ids(query: bytes) -> list[str]:
    """The values of `upload_id`, in any spelling of the name: a request that has one continues an upload."""
    if b"=" not in query:
        return []
    values = [pair.partition(b"=")[2] for pair in query.split(b"&") if _is_upload_id(pair)]
    return [unquote_plus(value.decode("latin-1")) for value in values]


def without_upload_ids(query: bytes) -> bytes:
    return b"&".join(pair for pair in query.split(b"&") if pair and not _is_upload_id(pair))


def _is_upload_id(pair: bytes) -> bool:
    name = pair.partition(b"=")[0].decode("latin-1")
    # Twice, because whether a server decodes `%255F` once or twice cannot be known.
    return alphanumerics(unquote_plus(unquote_plus(name))) == "uploadid"
