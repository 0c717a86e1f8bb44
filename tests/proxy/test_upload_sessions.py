"""Whose upload it is: a request without a key acts as the key that started it, and reaches nothing else."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
import trio
from rig.cases import cases
from rig.gateway import Running, running
from rig.registry import block_key, delete_key, regenerate_key, update_key
from rig.standin import Reply, StandIn
from rig.uploads import FILES, GoogleUploads, Upload, start
from rig.wire import Answer, connect, exchange, head
from trio.testing import wait_all_tasks_blocked

from gatekeeper.keys.fields import parse_fields

NOT_FOUND = (404, "GATEKEEPER_NOT_FOUND")
WEEK = 7 * 24 * 3600 * 1_000_000  # microseconds
GENERATE = "/v1beta/models/gemini-2.5-flash:generateContent"


@pytest.fixture
def uploads(google: StandIn) -> GoogleUploads:
    google.script = uploads = GoogleUploads(google.url)
    return uploads


async def started(gateway: Running, **fields: object) -> Upload:
    """An upload by a new key, whose alias is `up`."""
    secret = await gateway.key(key_alias="up", **fields)
    return await start(gateway.url, f"x-goog-api-key: {secret}")


async def refused(gateway: Running, google: StandIn, answer: Answer, status: int, reason: str) -> dict:
    """Checks that nothing went upstream but the start, and is the row."""
    assert (answer.status, answer.reason) == (status, reason)
    row = await gateway.row(2)
    assert (row["status"], row["reason"], row["outcome"]) == (status, reason, "refused")
    assert len(google.asked) == 1
    assert b"GoogleSecret" not in answer.body
    return row


# Who


async def test_an_upload_of_another_key(guarded: Running, google: StandIn, uploads: GoogleUploads) -> None:
    upload = await started(guarded)
    other = await guarded.key(key_alias="other")
    answer = await upload.send("upload, finalize", b"x", f"x-goog-api-key: {other}")
    row = await refused(guarded, google, answer, *NOT_FOUND)
    assert (row["key_alias"], row["user_agent"], row["user_id"]) == ("other", None, None)


async def test_the_master_key_is_another_key(
    guarded: Running, google: StandIn, uploads: GoogleUploads
) -> None:
    upload = await started(guarded)
    answer = await upload.send("query", b"", "Authorization: Bearer master-of-the-tests")
    assert (await refused(guarded, google, answer, *NOT_FOUND))["key_id"] == "master"


async def test_a_key_that_nobody_has(guarded: Running, google: StandIn, uploads: GoogleUploads) -> None:
    upload = await started(guarded)
    answer = await upload.send("query", b"", "x-goog-api-key: nobodys")
    await refused(guarded, google, answer, 401, "GATEKEEPER_KEY_UNKNOWN")


@pytest.mark.parametrize("place", ["header", "query"])
async def test_the_same_key_may_be_sent_again(
    guarded: Running, google: StandIn, uploads: GoogleUploads, place: str
) -> None:
    secret = await guarded.key(key_alias="up")
    upload = await start(guarded.url, f"x-goog-api-key: {secret}")
    if place == "query":
        upload = Upload(f"{upload.url}&key={secret}")
    answer = await upload.send("upload", b"x", *([f"x-goog-api-key: {secret}"] if place == "header" else []))
    assert answer.status == 200
    assert secret not in str(google.asked)


async def test_the_master_keys_own_upload(guarded: Running, uploads: GoogleUploads) -> None:
    upload = await start(guarded.url, "x-goog-api-key: master-of-the-tests")
    assert (await upload.send("upload, finalize", b"x")).status == 200
    assert [row["key_id"] for row in await guarded.rows()] == ["master", "master"]


async def test_in_open_mode(gateway: Running, uploads: GoogleUploads) -> None:
    upload = await start(gateway.url, "x-goog-api-key: anything")
    assert (await upload.send("upload", b"x")).status == 200
    assert (await upload.send("query", b"", "x-goog-api-key: anything else")).status == 200
    assert [row["key_id"] for row in await gateway.rows()] == ["open"] * 3
    own = await gateway.key()
    answer = await upload.send("query", b"", f"x-goog-api-key: {own}")
    assert (answer.status, answer.reason) == NOT_FOUND


async def test_an_upload_of_open_mode_ends_with_it(
    google: StandIn, uploads: GoogleUploads, tmp_path: Path
) -> None:
    async with running(tmp_path / "d", google.url) as gateway:
        upload = await start(gateway.url)
    async with running(tmp_path / "d", google.url, master_key="master-of-the-tests") as gateway:
        answer = await moved(upload, gateway).send("query")
        await refused(gateway, google, answer, 401, "GATEKEEPER_KEY_MISSING")


def moved(upload: Upload, gateway: Running) -> Upload:
    """The upload at a gateway that listens on another port."""
    return Upload(gateway.url + upload.target)


@pytest.mark.parametrize(
    ("change", "status", "reason"),
    [
        ("block", 403, "GATEKEEPER_KEY_BLOCKED"),
        ("delete", 401, "GATEKEEPER_KEY_UNKNOWN"),
        ("expire", 403, "GATEKEEPER_KEY_EXPIRED"),
        ("routes", 403, "GATEKEEPER_ROUTE_NOT_ALLOWED"),
    ],
)
async def test_the_key_is_looked_up_again(
    guarded: Running, google: StandIn, uploads: GoogleUploads, change: str, status: int, reason: str
) -> None:
    upload = await started(guarded, allowed_routes=["files.upload"])
    registry = guarded.gateway.registry
    if change in ("block", "delete"):
        await {"block": block_key, "delete": delete_key}[change](registry, "up", now=1, by="test")
    else:
        # Made at the time 0, it has expired after a second.
        fields = {"duration": "1s"} if change == "expire" else {"allowed_routes": ["generateContent"]}
        await update_key(registry, "up", parse_fields(fields, now=0), now=1, by="test")
    await refused(guarded, google, await upload.send("upload", b"x"), status, reason)


async def test_a_new_secret_of_the_key_changes_nothing(guarded: Running, uploads: GoogleUploads) -> None:
    upload = await started(guarded)
    await regenerate_key(guarded.gateway.registry, "up", now=1, by="test")
    assert (await upload.send("upload", b"x")).status == 200


async def test_a_start_that_is_not_allowed(guarded: Running, google: StandIn, uploads: GoogleUploads) -> None:
    secret = await guarded.key(allowed_routes=["generateContent"])
    line = f"POST /gemini{FILES}?key={secret}"
    answer = await exchange(guarded.url, line, body=b"{}", headers=["X-Goog-Upload-Command: start"])
    assert (answer.status, answer.reason) == (403, "GATEKEEPER_ROUTE_NOT_ALLOWED")
    assert not google.asked


# Which


@cases(
    "query",
    [
        "upload_id=invented",
        "upload_id=",
        "upload_id=GoogleSecretId-0",
        "UPLOAD_ID=GoogleSecretId-0",
        "upload%5Fid=GoogleSecretId-0&upload_protocol=resumable",
        "upload_id={id}&upload_id=GoogleSecretId-0",
        "upload_id=GoogleSecretId-0&uploadId={id}",
        "upload_id={id}x",
    ],
)
async def test_no_other_id_leads_anywhere(
    gateway: Running, google: StandIn, uploads: GoogleUploads, query: str
) -> None:
    upload = await start(gateway.url)
    path, _, own = upload.target.partition("?")
    ours = own.partition("&")[0].removeprefix("upload_id=")
    line = f"POST {path}?{query.replace('{id}', ours)}"
    fields = ["X-Goog-Upload-Command: upload", "X-Goog-Upload-Offset: 0"]
    answer = await exchange(gateway.url, line, body=b"x", headers=fields)
    assert (await refused(gateway, google, answer, *NOT_FOUND))["key_id"] == "open"


@pytest.mark.parametrize("key", [True, False])
async def test_an_invented_id_is_not_found_with_and_without_a_key(
    guarded: Running, google: StandIn, key: bool
) -> None:
    secret = await guarded.key(key_alias="up")
    line = f"POST /gemini{FILES}?upload_id=invented" + (f"&key={secret}" if key else "")
    answer = await exchange(guarded.url, line, body=b"x")
    assert (answer.status, answer.reason) == NOT_FOUND
    assert (await guarded.row())["key_alias"] == ("up" if key else None)
    assert not google.asked


async def test_an_expired_upload(
    gateway: Running, google: StandIn, uploads: GoogleUploads, tmp_path: Path
) -> None:
    upload = await start(gateway.url)
    with closing(sqlite3.connect(tmp_path / "data" / "keys.sqlite", isolation_level=None)) as file:
        file.execute("UPDATE sessions SET expires_at = expires_at - ?", (WEEK,))
    await refused(gateway, google, await upload.send("query"), *NOT_FOUND)


@pytest.mark.parametrize("end", ["upload, finalize", "cancel"])
async def test_an_ended_upload_expires_soon(
    gateway: Running, uploads: GoogleUploads, tmp_path: Path, end: str
) -> None:
    upload = await start(gateway.url)
    with closing(sqlite3.connect(tmp_path / "data" / "keys.sqlite", isolation_level=None)) as file:
        ((before,),) = file.execute("SELECT expires_at FROM sessions").fetchall()
        await upload.send("upload", b"x")
        assert file.execute("SELECT expires_at FROM sessions").fetchall() == [(before,)]
        await upload.send(end, b"y" if end != "cancel" else b"", offset=1)
        ((after,),) = file.execute("SELECT expires_at FROM sessions").fetchall()
    assert before - after > WEEK * 0.99


async def test_a_key_has_so_many_unfinished_uploads(
    guarded: Running, google: StandIn, uploads: GoogleUploads
) -> None:
    guarded.gateway.proxy.context.sessions.limit = 1  # type: ignore[attr-defined]
    secret = await guarded.key(key_alias="up")
    assert await start(guarded.url, f"x-goog-api-key: {secret}")
    line = f"POST /gemini{FILES}?uploadType=resumable&key={secret}"
    answer = await exchange(guarded.url, line, body=b"{}")
    assert (answer.status, answer.reason) == (429, "GATEKEEPER_TOO_MANY_PARALLEL")
    assert "GoogleSecret" not in str(answer)
    assert b"The key up has 1 unfinished uploads" in answer.body
    other = await guarded.key(key_alias="other")
    assert await start(guarded.url, f"x-goog-api-key: {other}")


async def test_a_store_that_fails_refuses_and_loses_nothing(
    gateway: Running, google: StandIn, uploads: GoogleUploads, tmp_path: Path
) -> None:
    upload = await start(gateway.url)
    with closing(sqlite3.connect(tmp_path / "data" / "keys.sqlite", isolation_level=None)) as file:
        file.execute("ALTER TABLE sessions RENAME TO broken")
        answer = await upload.send("upload", b"x")
        await refused(gateway, google, answer, 503, "GATEKEEPER_LEDGER_FULL")
        line = f"POST /gemini{FILES}?uploadType=resumable"
        answer = await exchange(gateway.url, line, body=b"{}")
        assert (answer.status, answer.reason) == (503, "GATEKEEPER_LEDGER_FULL")
        file.execute("ALTER TABLE broken RENAME TO sessions")
    assert (await upload.send("upload", b"x")).status == 200


async def test_refusals_end_an_upload_unless_waiting_helps(guarded: Running, uploads: GoogleUploads) -> None:
    """Google's SDKs send a chunk again whose answer has no status."""
    upload = await started(guarded)
    guarded.gateway.proxy.context.draining = True  # type: ignore[attr-defined]
    answer = await upload.send("upload", b"x")
    assert (answer.status, answer.headers.get("x-goog-upload-status")) == (503, None)
    guarded.gateway.proxy.context.draining = False  # type: ignore[attr-defined]
    await block_key(guarded.gateway.registry, "up", now=1, by="test")
    answer = await upload.send("upload", b"x")
    assert (answer.status, answer.headers.get("x-goog-upload-status")) == (403, "final")


@pytest.mark.parametrize("status", [400, 404, 500])
async def test_googles_error_page_does_not_tell_its_address(
    gateway: Running, google: StandIn, uploads: GoogleUploads, status: int
) -> None:
    upload = await start(gateway.url)

    async def quote_address(reply: Reply) -> None:
        assert reply.asked.header("accept-encoding") == ["identity"]
        page = b"<p>The requested URL <code>%b</code> failed." % reply.asked.target
        await reply.json(b'{"error": {"code": 400, "message": "%b"}}' % page, status)

    google.script = quote_address
    answer = await upload.send("upload", b"x", "Accept-Encoding: gzip")
    assert answer.status == status
    assert b"upload_id=" + b"*" * len("GoogleSecretId-0") in answer.body
    row = await gateway.row(2)
    assert "The requested URL" in row["error_message"]
    assert "GoogleSecretId-0" not in str(row)


async def test_through_two_gateways(
    guarded: Running, google: StandIn, uploads: GoogleUploads, tmp_path: Path
) -> None:
    inner = await guarded.key(key_alias="outer gateway")
    upstream = f"{guarded.url}/gemini"
    async with running(tmp_path / "outer", upstream, gemini_api_key=inner) as outer:
        upload = await start(outer.url)
        await upload.send("upload", b"x")
        assert (await upload.send("upload, finalize", b"y", offset=1)).status == 200
        assert [row["resource"] for row in await outer.rows()] == [None, None, "files/in-pieces"]
    assert uploads.files == {"GoogleSecretId-0": b"xy"}
    assert {row["key_alias"] for row in await guarded.rows()} == {"outer gateway"}


# Where


@pytest.mark.parametrize(
    "path",
    [
        "/upload/v1/files",
        "/upload/v1beta/fileSearchStores/s:uploadToFileSearchStore",
        "/resumable/upload/v1beta/files",
        "/upload/v1beta/models/m:generateContent",
        "/upload/v1beta/novelties",
    ],
)
async def test_at_another_upload_path_it_is_not_found(
    gateway: Running, google: StandIn, uploads: GoogleUploads, path: str
) -> None:
    upload = await start(gateway.url)
    line = f"POST /gemini{path}?{upload.target.partition('?')[2]}"
    answer = await exchange(gateway.url, line, body=b"x", headers=["X-Goog-Upload-Command: query"])
    assert answer.status in (400, 404)
    assert (await gateway.row(2))["outcome"] == "refused"
    assert len(google.asked) == 1


@pytest.mark.parametrize("path", [GENERATE, "/v1beta/files", "/upload/../v1beta/files"])
async def test_elsewhere_an_upload_id_is_no_key(
    guarded: Running, google: StandIn, uploads: GoogleUploads, path: str
) -> None:
    upload = await started(guarded)
    line = f"POST /gemini{path}?{upload.target.partition('?')[2]}"
    await refused(
        guarded, google, await exchange(guarded.url, line, body=b"{}"), 401, "GATEKEEPER_KEY_MISSING"
    )


@pytest.mark.parametrize(
    "spelling",
    [
        "/upload//v1beta/./files",
        "/upload/v1beta/x/../files",
        "/%75pload/v1beta/files",
        "/upload/v1beta/files",
    ],
)
@pytest.mark.parametrize("more", ["&alt=proto&fields=x", "&$httpMethod=DELETE&key=", "&a=b/../c%26"])
async def test_every_spelling_leads_to_the_stored_address(
    gateway: Running, google: StandIn, uploads: GoogleUploads, spelling: str, more: str
) -> None:
    upload = await start(gateway.url)
    line = f"PUT /gemini{spelling}?{upload.target.partition('?')[2]}{more}"
    answer = await exchange(gateway.url, line, body=b"", headers=["X-Goog-Upload-Command: query"])
    assert answer.status == 200
    assert google.asked[1].target == f"{FILES}?upload_id=GoogleSecretId-0&upload_protocol=resumable".encode()
    assert google.asked[1].method == "PUT"


async def test_an_upload_to_a_store_passes_with_googles_own_parameters(
    gateway: Running, google: StandIn, uploads: GoogleUploads
) -> None:
    """Of a route with a cost only known parameters pass; those of Google's address are not the client's."""
    uploads.more = "&name=x&debug=1"
    target = "/upload/v1beta/fileSearchStores/s:uploadToFileSearchStore"
    upload = await start(gateway.url, target=target)
    assert upload.target.endswith("&name=x&debug=1&upload_protocol=resumable")
    assert (await upload.send("upload, finalize", b"x")).status == 200
    assert google.asked[1].target.startswith(target.encode() + b"?upload_id=GoogleSecretId-0&name=x&debug=1")
    rows = await gateway.rows()
    assert {row["action"] for row in rows} == {"fileSearchStores.uploadToFileSearchStore"}


async def test_a_start_that_brings_the_file_already(
    gateway: Running, google: StandIn, uploads: GoogleUploads
) -> None:
    body = b"x" * 600_000
    fields = ["X-Goog-Upload-Protocol: resumable", "X-Goog-Upload-Command: start, upload, finalize"]
    answer = await exchange(gateway.url, f"POST /gemini{FILES}", body=body, headers=fields)
    assert answer.status == 200
    assert "GoogleSecret" not in str(answer)
    assert google.asked[0].body == body
    assert (await gateway.row())["request_bytes"] == len(body)


# Half-way


async def test_a_chunk_that_is_broken_off_can_be_continued(tmp_path: Path) -> None:
    async with running(tmp_path / "d", "http://127.0.0.1:9", sandbox=True) as gateway:
        upload = await start(gateway.url)
        first, last = b"a" * 700_000, b"b" * 10
        fields = ["X-Goog-Upload-Command: upload", "X-Goog-Upload-Offset: 0", "Content-Length: 900000"]
        async with await connect(gateway.url) as client:
            await client.send_all(head(f"POST {upload.target}", fields) + first)
            # What the gateway still holds when the client breaks off is lost.
            while await received(upload) < len(first):
                await trio.sleep(0.01)
        while not (broken := await rows_of(gateway, "client_disconnected")):
            await trio.sleep(0.01)
        assert [row["request_bytes"] for row in broken] == [len(first)]
        assert await received(upload) == len(first)
        answer = await upload.send("upload, finalize", last, offset=len(first))
        assert answer.headers["x-goog-upload-status"] == "final"
        assert json.loads(answer.body)["file"]["sizeBytes"] == "700010"


async def received(upload: Upload) -> int:
    return int((await upload.send("query")).headers["x-goog-upload-size-received"])


async def rows_of(gateway: Running, outcome: str) -> list[dict]:
    return [row for row in await gateway.rows() if row["outcome"] == outcome]


async def test_the_client_is_read_no_faster_than_google_reads(
    gateway: Running, google: StandIn, uploads: GoogleUploads
) -> None:
    upload = await start(gateway.url)
    whole, sent = 1 << 30, 0

    async def read_nothing(stream: trio.SocketStream, number: int) -> None:
        await trio.sleep_forever()

    async def send() -> None:
        nonlocal sent
        while True:
            await client.send_all(b"x" * 65536)
            sent += 65536

    google.read = read_nothing  # type: ignore[method-assign]
    # On a new connection to Google: it reads already on the one before.
    gateway.gateway.proxy.context.upstream.close_idle()  # type: ignore[attr-defined]
    fields = ["X-Goog-Upload-Command: upload", "X-Goog-Upload-Offset: 0", f"Content-Length: {whole}"]
    async with await connect(gateway.url) as client, trio.open_nursery() as nursery:
        await client.send_all(head(f"POST {upload.target}", fields))
        nursery.start_soon(send)
        await wait_all_tasks_blocked(0.05)
        assert 0 < sent < 32 << 20
        assert (await exchange(gateway.url, "GET /healthz")).status == 200
        nursery.cancel_scope.cancel()
