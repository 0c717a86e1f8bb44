"""Resumable uploads are not relayed: the upload URL that Google returns would bypass the gateway."""

from __future__ import annotations

from gatekeeper.gemini.evasion import normalized_path
from gatekeeper.proxy.authenticate import query_parameters
from gatekeeper.proxy.headers import Headers
from gatekeeper.refusals import Reason, Refusal

UPLOAD_PROTOCOL_HEADER, UPLOAD_COMMAND_HEADER = b"x-goog-upload-protocol", b"x-goog-upload-command"
RESUMABLE_REFUSAL = Refusal(
    Reason.BAD_REQUEST,
    "Resumable uploads are not relayed by this gateway yet. Send the file in one request "
    "(uploadType=multipart, or X-Goog-Upload-Protocol: raw), or put it into the call itself as inlineData.",
)


def starts_resumable(action: str | None, path: bytes, headers: Headers, query: bytes) -> bool:
    """Whether a request begins a resumable upload: by its command, or by its protocol (in the path too) if it
    has no `upload_id`, which the later requests have."""
    if "upload" not in (action or "").lower():
        return False
    # Some servers read `_` in a header's name as `-`.
    fields = {name.replace(b"_", b"-"): value.strip().lower() for name, value in headers}
    parameters = dict(query_parameters(query))
    protocols = (
        fields.get(UPLOAD_PROTOCOL_HEADER),
        parameters.get("uploadType"),
        parameters.get("upload_protocol"),
    )
    resumable = any(protocol in (b"resumable", "resumable") for protocol in protocols)
    resumable = resumable or (normalized_path(path) or "").startswith("/resumable/")
    return b"start" in fields.get(UPLOAD_COMMAND_HEADER, b"") or (resumable and "upload_id" not in parameters)
