"""Uploads in several requests are not relayed: the address for the second one that Google gives is its own,
and without it a client could only say that it is missing.
"""

from __future__ import annotations

from gatekeeper.gemini.spelling import plain_path
from gatekeeper.proxy.authenticate import parameters
from gatekeeper.proxy.headers import Headers
from gatekeeper.refusals import Reason, Refusal

PROTOCOL, COMMAND = b"x-goog-upload-protocol", b"x-goog-upload-command"
NOT_RESUMABLE = Refusal(
    Reason.BAD_REQUEST,
    "Resumable uploads are not relayed by this gateway yet. Send the file in one request "
    "(uploadType=multipart, or X-Goog-Upload-Protocol: raw), or put it into the call itself as inlineData.",
)


def starts_resumable(action: str | None, path: bytes, headers: Headers, query: bytes) -> bool:
    """Whether a request begins an upload in several requests: by its command, or by its protocol (the path
    may name it) where it is not one of the later requests, which name the upload."""
    if "upload" not in (action or "").lower():
        return False
    # Some servers read `_` in a header's name as `-`.
    said = {name.replace(b"_", b"-"): value.strip().lower() for name, value in headers}
    asked = dict(parameters(query))
    protocols = (said.get(PROTOCOL), asked.get("uploadType"), asked.get("upload_protocol"))
    resumable = any(protocol in (b"resumable", "resumable") for protocol in protocols)
    resumable = resumable or (plain_path(path) or "").startswith("/resumable/")
    return b"start" in said.get(COMMAND, b"") or (resumable and "upload_id" not in asked)
