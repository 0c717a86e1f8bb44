"""Files: the three ways to upload, and what can be done with a file afterwards."""

from __future__ import annotations

import base64
import hashlib
import re
from functools import partial

import httpx2
import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st

from gatekeeper.sandbox import uploads
from gatekeeper.sandbox.content import BLOCK_BYTES, GeneratedBytes
from gatekeeper.sandbox.errors import GoogleError
from gatekeeper.sandbox.files import File, Files
from gatekeeper.sandbox.http import BodyBuffer
from gatekeeper.sandbox.server import serve_sandbox
from gatekeeper.sandbox.store import MAX_KEPT_BYTES
from gatekeeper.sandbox.uploads import GRANULARITY, MultipartBody

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


async def test_open_uploads_take_no_more_memory_than_all_may(
    nursery: trio.Nursery, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(uploads, "MAX_TOTAL_BYTES", 1_000_000)
    port = await nursery.start(partial(serve_sandbox, "127.0.0.1", 0, time_scale=0))
    url = f"http://127.0.0.1:{port}"
    async with httpx2.AsyncClient(base_url=url, headers={"x-goog-api-key": "any"}, verify=False) as google:
        addresses = [await start(google), await start(google)]
        for address in addresses:
            assert (await go_on(address, "upload", 0, b"x" * 600_000)).status_code == 200
        assert [(await go_on(address, "query")).status_code for address in addresses] == [403, 200]


async def test_a_file_in_one_request(google):
    data = b"one two three"
    file = (await google.post(UPLOAD, content=data, headers=TEXT)).json()["file"]
    assert file["mimeType"] == "text/plain"
    assert file["sizeBytes"] == str(len(data))
    assert base64.b64decode(file["sha256Hash"]).decode() == hashlib.sha256(data).hexdigest()
    assert file["uri"] == f"https://generativelanguage.googleapis.com/v1beta/{file['name']}"
    assert (await google.get(f"/v1beta/{file['name']}")).json() == file


@pytest.mark.parametrize("line_end", [b"\r\n", b"\n"])  # google-api-python-client sends LF
async def test_a_file_in_two_parts(google, line_end):
    body = line_end.join(
        [
            *(b"--b", b"Content-Type: application/json", b"", b'{"file": {"display_name": "My file"}}'),
            *(b"--b", b"Content-Type: image/png", b"", b"\x89PNG\r\n\r\n\xff", b"--b--", b""),
        ]
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


async def test_a_broken_upload_goes_on_where_it_ended(google, sandbox_url):
    url = await start(google)
    path = url.removeprefix(sandbox_url)
    head = (
        f"POST {path} HTTP/1.1\r\nhost: x\r\ncontent-length: 6\r\n"
        "x-goog-upload-command: upload, finalize\r\nx-goog-upload-offset: 0\r\n\r\n"
    )
    stream = await trio.open_tcp_stream("127.0.0.1", int(sandbox_url.rpartition(":")[2]))
    async with stream:
        await stream.send_all(head.encode() + b"abc")
    received = "0"
    while received == "0":
        received = (await go_on(url, "query")).headers["x-goog-upload-size-received"]
    assert received == "3"
    assert (await go_on(url, "upload, finalize", 3, b"def")).json()["file"]["sizeBytes"] == "6"


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


def add(files: Files, data: bytes, times: int = 1, mime: str = "audio/mp3") -> File:
    into = BodyBuffer(MAX_KEPT_BYTES)
    for _ in range(times):
        into.feed(data)
    return files.add({}, mime, into)


def test_files_expire_after_two_days():
    now = [0.0]
    files = Files(lambda: now[0])
    file = add(files, b"x")
    now[0] = 48 * 3600 - 1
    assert files.find(file.name) == ("audio/mp3", 1)
    now[0] += 1
    with pytest.raises(GoogleError, match="may not exist"):
        files.find(file.name)


async def test_what_is_too_large_to_keep_is_counted_and_hashed_all_the_same(google):
    data, times = bytes(2**20), MAX_KEPT_BYTES // 2**20 + 1
    digest = hashlib.sha256(data * times).hexdigest()
    head = b"--b\r\nContent-Type: application/json\r\n\r\n{}\r\n--b\r\nContent-Type: a/b\r\n\r\n"

    async def multipart():
        yield head
        for _ in range(times):
            yield data
        yield b"\r\n--b--"

    kind = {"content-type": "multipart/related; boundary=b"}
    file = (await google.post(UPLOAD, content=multipart(), headers=kind)).json()["file"]
    assert file["sizeBytes"] == str(times * 2**20)
    assert base64.b64decode(file["sha256Hash"]).decode() == digest
    gone = await google.get(f"/v1beta/{file['name']}:download?alt=media")
    assert (gone.status_code, "larger" in gone.json()["error"]["message"]) == (400, True)


@given(st.binary(max_size=80), st.integers(1, 40), st.sampled_from([b"\r\n", b"\n"]))
def test_a_multipart_body_is_the_same_however_it_is_cut(media, step, line_end):
    parts = [b"--b", b"", b'{"a": 1}', b"--b", b"content-type: x/y", b"", media, b"--b--", b""]
    raw = line_end.join(parts)
    body = MultipartBody(b"b", 100)
    for at in range(0, len(raw), step):
        body.feed(raw[at : at + step])
    assert body.complete
    assert body.metadata.data == b'{"a": 1}'
    # What looks like a delimiter inside the media is one.
    assert body.media.data == re.split(rb"\r?\n--b", media + line_end + b"--b")[0]
    assert body.media_type == "x/y"


async def put(url: str, place: str, data: bytes = b"") -> httpx2.Response:
    async with httpx2.AsyncClient(verify=False) as client:
        return await client.put(url, content=data, headers={"content-range": place} if place else {})


async def test_an_upload_by_content_range(google):
    opened = await google.post(
        f"/resumable{UPLOAD}?uploadType=resumable", json={}, headers={"x-upload-content-type": "a/b"}
    )
    url = opened.headers["location"]
    assert (await put(url, "bytes */6")).status_code == 308
    first = await put(url, "bytes 0-2/6", b"abc")
    assert (first.status_code, first.headers["range"]) == (308, "bytes=0-2")
    assert (await put(url, "bytes 0-2/6", b"abc")).status_code == 400
    file = (await put(url, "bytes 3-5/6", b"def")).json()["file"]
    assert (file["mimeType"], file["sizeBytes"]) == ("a/b", "6")
    assert (await put(url, "bytes */6")).json()["file"] == file
    whole = await google.post(f"{UPLOAD}?uploadType=resumable", json={})
    assert (await put(whole.headers["location"], "", b"all")).json()["file"]["sizeBytes"] == "3"
    dropped = await google.post(f"{UPLOAD}?uploadType=resumable", json={})
    assert (await google.delete(dropped.headers["location"])).status_code == 499
    assert (await google.put(dropped.headers["location"])).status_code == 404


async def test_a_finalize_whose_answer_was_lost_is_answered_again(google):
    url = await start(google)
    file = (await go_on(url, "upload, finalize", 0, b"abc")).json()
    assert (await go_on(url, "finalize")).json() == file
    assert len((await google.get(FILES)).json()["files"]) == 1


async def test_a_video_is_processed_before_it_can_be_used(google):
    made = (await google.post(UPLOAD, content=b"x", headers={"content-type": "video/mp4"})).json()["file"]
    parts = [{"fileData": {"fileUri": made["uri"]}}]
    prompt = {"contents": [{"parts": parts}]}
    generate = "/v1beta/models/gemini-3.8-flash:generateContent"
    assert "ACTIVE state" in (await google.post(generate, json=prompt)).json()["error"]["message"]
    states = [made["state"], *[(await google.get(f"/v1beta/{made['name']}")).json()["state"] for _ in "12"]]
    assert states == ["PROCESSING", "PROCESSING", "ACTIVE"]
    assert (await google.post(generate, json=prompt)).status_code == 200


@pytest.mark.parametrize(
    ("asked", "status", "place", "data"),
    [
        ("bytes=1-3", 206, "bytes 1-3/10", b"123"),
        ("bytes=8-", 206, "bytes 8-9/10", b"89"),
        ("bytes=-4", 206, "bytes 6-9/10", b"6789"),
        ("bytes=0-99", 206, "bytes 0-9/10", b"0123456789"),
        ("bytes=10-", 416, "bytes */10", b""),
        ("bytes=5-4", 416, "bytes */10", b""),
        (f"bytes={'9' * 5000}-", 200, None, b"0123456789"),
        ("bytes=0-1,3-4", 200, None, b"0123456789"),
        ("lines=1-2", 200, None, b"0123456789"),
    ],
)
async def test_a_range_of_a_file(google, asked, status, place, data):
    file = (await google.post(UPLOAD, content=b"0123456789", headers=TEXT)).json()["file"]
    answer = await google.get(f"/v1beta/{file['name']}:download?alt=media", headers={"range": asked})
    assert (answer.status_code, answer.headers.get("content-range"), answer.content) == (status, place, data)
    assert answer.headers["accept-ranges"] == "bytes"


SIZE = 3 * BLOCK_BYTES + 5


async def test_generated_bytes_come_by_a_redirect(google, sandbox_url):
    path = f"files/bytes-{SIZE}:download?alt=media"
    answer = await google.get(f"/v1beta/{path}")
    assert (answer.status_code, answer.headers["location"]) == (302, f"{sandbox_url}/download/v1beta/{path}")
    assert answer.headers["x-goog-api-key"] == "any", "as Google's does"
    whole = await google.get(answer.headers["location"])
    assert len(whole.content) == int(whole.headers["content-length"]) == SIZE
    part = await google.get(answer.headers["location"], headers={"range": f"bytes=70000-{2 * BLOCK_BYTES}"})
    assert part.content == whole.content[70000 : 2 * BLOCK_BYTES + 1]
    assert (await google.get(f"/v1beta/files/bytes-{SIZE}")).json()["sizeBytes"] == str(SIZE)


def joined(start: int, end: int) -> bytes:
    return b"".join(data for _, data in GeneratedBytes(SIZE).pieces(start, end))


WHOLE = joined(0, SIZE)


@given(st.integers(0, SIZE), st.integers(0, SIZE))
def test_generated_bytes_are_the_same_in_every_range(one, other):
    start, end = sorted((one, other))
    assert joined(start, end) == WHOLE[start:end]


async def test_objects_of_cloud_storage_are_registered(google):
    made = await google.post(f"{FILES}:register", json={"uris": ["gs://bucket/a.pdf"]})
    assert [(file["displayName"], file["source"]) for file in made.json()["files"]] == [
        ("a.pdf", "REGISTERED")
    ]
    assert (await google.post(f"{FILES}:register", json={"uris": ["http://x"]})).status_code == 400
