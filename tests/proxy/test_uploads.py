"""An upload in one request passes; one in several is refused at its start, with words."""

from __future__ import annotations

import json

import pytest
from rig.gateway import Running
from rig.standin import StandIn
from rig.wire import exchange

START = ["X-Goog-Upload-Protocol: resumable", "X-Goog-Upload-Command: start"]
FILES = "/upload/v1beta/files"
STORE = "/upload/v1/fileSearchStores/s:uploadToFileSearchStore"


@pytest.mark.parametrize(
    ("target", "headers"),
    [
        (FILES, START),
        (STORE, START),
        ("/resumable" + FILES, START),
        ("/resumable" + FILES, []),
        ("/%72esumable" + FILES, []),
        (FILES, START[:1]),
        (FILES, START[1:]),
        (FILES, ["x_goog_upload_protocol: Resumable"]),
        (FILES, ["X-Goog-Upload-Command:  START "]),
        (FILES + "?uploadType=resumable", []),
        (FILES + "?upload_protocol=resumable", []),
        ("/v1beta/fileSearchStores/s:uploadToFileSearchStore", START),
        ("/%75pload/v1beta/files", START),
    ],
)
async def test_the_start_of_a_resumable_upload_is_refused(
    gateway: Running, google: StandIn, target: str, headers: list[str]
) -> None:
    answer = await exchange(gateway.url, f"POST /gemini{target}", body=b"{}", headers=headers)
    assert (answer.status, answer.reason) == (400, "GATEKEEPER_BAD_REQUEST")
    message = json.loads(answer.body)["error"]["message"]
    assert "not relayed" in message
    assert "multipart" in message
    assert "inlineData" in message
    assert google.asked == []
    assert (await gateway.row())["outcome"] == "refused"


@pytest.mark.parametrize(
    ("target", "headers"),
    [
        (FILES + "?uploadType=multipart", ["Content-Type: multipart/related; boundary=b"]),
        (FILES, ["X-Goog-Upload-Protocol: raw"]),
        (FILES, ["X-Goog-Upload-Protocol: multipart"]),
        (FILES, []),
        (FILES + "?upload_id=u&upload_protocol=resumable", ["X-Goog-Upload-Command: upload, finalize"]),
        ("/v1beta/files", START),
    ],
)
async def test_other_uploads_pass(gateway: Running, google: StandIn, target: str, headers: list[str]) -> None:
    answer = await exchange(gateway.url, f"POST /gemini{target}", body=b"{}", headers=headers)
    assert answer.status == 200
    assert google.asked[-1].target == target.encode()
