"""Files: the three ways to upload, and what can be done with a file afterwards."""

from __future__ import annotations

import base64
import hashlib

import httpx2
import pytest

from gatekeeper.sandbox.errors import GoogleError
from gatekeeper.sandbox.files import GRANULARITY, MAX_KEPT_BYTES, File, Files
from gatekeeper.sandbox.wire import Request

UPLOAD, FILES = "/upload/v1beta/files", "/v1beta/files"
TEXT = {"content-type": "text/plain"}


async def start(google: httpx2.AsyncClient, about: dict | None = None) -> str:
    headers = {
        "x-goog-upload-protocol": "resumable",
        "x-goog-upload-command": "start",
        "x-goog-upload-header-content-type": "text/plain",
    }
    answer = await google.post(UPLOAD, json=about or {}, headers=headers)
    assert answer.status_code == 200
    assert answer.headers["x-goog-upload-status"] == "active"
    assert answer.headers["x-goog-upload-chunk-granularity"] == GRANULARITY.decode()
    return answer.headers["x-goog-upload-url"]


async def go_on(url: str, command: str, offset: int = 0, data: bytes = b"") -> httpx2.Response:
    """Without a key: the address is one."""
    headers = {"x-goog-upload-command": command, "x-goog-upload-offset": str(offset)}
    async with httpx2.AsyncClient(verify=False) as client:
        return await client.post(url, content=data, headers=headers)


async def test_a_file_in_one_request(google):
    data = b"one two three"
    file = (await google.post(UPLOAD, content=data, headers=TEXT)).json()["file"]
    assert file["mimeType"] == "text/plain"
    assert file["sizeBytes"] == str(len(data))
    assert base64.b64decode(file["sha256Hash"]).decode() == hashlib.sha256(data).hexdigest()
    assert file["uri"] == f"https://generativelanguage.googleapis.com/v1beta/{file['name']}"
    assert (await google.get(f"/v1beta/{file['name']}")).json() == file


async def test_a_file_in_two_parts(google):
    body = (
        b'--b\r\nContent-Type: application/json\r\n\r\n{"file": {"display_name": "My file"}}\r\n'
        b"--b\r\nContent-Type: image/png\r\n\r\n\x89PNG\r\n\r\n\xff\r\n--b--\r\n"
    )
    kind = {"content-type": "multipart/related; boundary=b", "x-goog-upload-protocol": "multipart"}
    file = (await google.post(UPLOAD, content=body, headers=kind)).json()["file"]
    assert (file["displayName"], file["mimeType"]) == ("My file", "image/png")
    assert (await google.get(f"/v1beta/{file['name']}:download?alt=media")).content == b"\x89PNG\r\n\r\n\xff"


async def test_a_resumable_upload_in_chunks(google, sandbox_url):
    url = await start(google, {"file": {"displayName": "long"}})
    assert url.startswith(f"{sandbox_url}{UPLOAD}?upload_id=")
    first = await go_on(url, "upload", 0, b"abc")
    assert first.headers["x-goog-upload-status"] == "active"
    assert first.headers["x-goog-upload-size-received"] == "3"
    assert (await go_on(url, "upload", 0, b"abc")).status_code == 400
    assert (await go_on(url, "query")).headers["x-goog-upload-size-received"] == "3"
    last = await go_on(url, "upload, finalize", 3, b"def")
    assert last.headers["x-goog-upload-status"] == "final"
    file = last.json()["file"]
    assert (file["displayName"], file["mimeType"], file["sizeBytes"]) == ("long", "text/plain", "6")
    assert (await google.get(f"/download/v1beta/{file['name']}:download?alt=media")).content == b"abcdef"
    assert (await go_on(url, "query")).headers["x-goog-upload-status"] == "final"
    assert (await go_on(url, "upload", 6, b"more")).status_code == 400


async def test_an_upload_that_is_cancelled_is_gone(google):
    url = await start(google)
    assert (await go_on(url, "cancel")).headers["x-goog-upload-status"] == "cancelled"
    assert (await go_on(url, "query")).status_code == 403  # its address is no key any more
    assert (await google.post(url, headers={"x-goog-upload-command": "query"})).status_code == 404


async def test_a_file_is_listed_and_deleted(google):
    names = [(await google.post(UPLOAD, content=b"x", headers=TEXT)).json()["file"]["name"] for _ in range(3)]
    first = (await google.get(FILES, params={"pageSize": 2})).json()
    rest = (await google.get(FILES, params={"pageSize": 2, "pageToken": first["nextPageToken"]})).json()
    assert [file["name"] for file in first["files"] + rest["files"]] == names[::-1]
    assert "nextPageToken" not in rest
    for name in names:
        assert (await google.delete(f"/v1beta/{name}")).json() == {}
    assert (await google.get(FILES)).json() == {}
    gone = await google.get(f"/v1beta/{names[0]}")
    assert gone.status_code == 403
    assert "or it may not exist" in gone.json()["error"]["message"]


async def test_a_name_can_be_chosen_once(google):
    about = {"file": {"name": "files/my-own"}}
    url = await start(google, about)
    assert (await go_on(url, "upload, finalize", 0, b"x")).json()["file"]["name"] == "files/my-own"
    headers = {"x-goog-upload-command": "start"}
    assert (await google.post(UPLOAD, json=about, headers=headers)).status_code == 409
    bad = {"file": {"name": "files/Not So"}}
    assert (await google.post(UPLOAD, json=bad, headers=headers)).status_code == 400


async def test_a_prompt_may_point_at_a_file(google):
    file = (await google.post(UPLOAD, content=b"x" * 400, headers=TEXT)).json()["file"]

    def asking(uri: str) -> dict:
        return {"contents": [{"parts": [{"fileData": {"fileUri": uri, "mimeType": "text/plain"}}]}]}

    path = "/v1beta/models/gemini-3.8-flash:generateContent"
    for uri in (file["uri"], file["name"]):
        usage = (await google.post(path, json=asking(uri))).json()["usageMetadata"]
        assert usage["promptTokensDetails"] == [{"modality": "TEXT", "tokenCount": 100}]
    elsewhere = (await google.post(path, json=asking("https://www.youtube.com/watch?v=1"))).json()
    assert elsewhere["usageMetadata"]["promptTokensDetails"][0]["modality"] == "VIDEO"
    await google.delete(f"/v1beta/{file['name']}")
    assert (await google.post(path, json=asking(file["uri"]))).status_code == 403


@pytest.mark.parametrize("kind", ["multipart/related", "multipart/related; boundary=x"])
async def test_parts_without_a_boundary_are_refused(google, kind):
    assert (
        await google.post(UPLOAD, content=b"--y\r\n\r\n--", headers={"content-type": kind})
    ).status_code == 400


def add(files: Files, data: bytes, times: int = 1) -> File:
    into = files.body_buffer(Request("POST", UPLOAD))
    for _ in range(times):
        into.feed(data)
    return files.add({}, "video/mp4", into)


def test_what_is_too_large_to_keep_is_counted_all_the_same():
    data, times = bytes(2**20), MAX_KEPT_BYTES // 2**20 + 1
    files = Files(lambda: 0.0)
    file = add(files, data, times)
    assert file.content.size == times * 2**20
    assert file.content.sha256 == hashlib.sha256(data * times).hexdigest()
    assert file.size < MAX_KEPT_BYTES
    with pytest.raises(GoogleError, match="larger"):
        files.download(file.name)


def test_files_expire_after_two_days():
    now = [0.0]
    files = Files(lambda: now[0])
    file = add(files, b"x")
    now[0] = 48 * 3600 - 1
    assert files.find(file.name) == ("video/mp4", 1)
    now[0] += 1
    with pytest.raises(GoogleError, match="may not exist"):
        files.find(file.name)
