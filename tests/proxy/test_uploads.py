"""Uploads: in one request, and resumable ones by both protocols, whose address is this gateway's."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rig.cases import cases
from rig.gateway import GOOGLE_KEY, Running, running
from rig.logs import capture_logs
from rig.standin import Reply, StandIn
from rig.uploads import FILES, START, GoogleUploads, start
from rig.wire import exchange

from gatekeeper.keys.sealing import seal, unseal

STORE = "/upload/v1/fileSearchStores/s:uploadToFileSearchStore"
WITHHELD = {"x-goog-upload-control-url", "x-guploader-uploadid"}


@pytest.fixture
def uploads(google: StandIn) -> GoogleUploads:
    google.script = uploads = GoogleUploads(google.url)
    return uploads


# The start


@cases(
    ("target", "headers"),
    [
        (FILES, START),
        (FILES, ["x_goog_upload_protocol: Resumable", *START[1:]]),
        (STORE, START),
        ("/upload/v9omega2/files", START),
        ("/upload/v1beta/novelties", START),
        ("/resumable" + FILES, START),
        ("/%75pload/v1beta/files", START),
        (FILES + "?alt=json", START),
    ],
)
async def test_a_start_gets_an_address_of_this_gateway(
    gateway: Running, google: StandIn, uploads: GoogleUploads, target: str, headers: list[str]
) -> None:
    answer = await exchange(gateway.url, f"POST /gemini{target}", body=b"{}", headers=headers)
    assert answer.status == 200
    assert answer.headers["x-goog-upload-status"] == "active"
    assert answer.headers["x-goog-upload-chunk-granularity"] == "262144"
    assert WITHHELD.isdisjoint(answer.headers)
    url = urlsplit(answer.headers["x-goog-upload-url"])
    assert (url.scheme, url.netloc, url.path) == ("http", "localhost", f"/gemini{target.partition('?')[0]}")
    (name, ours), *others = parse_qsl(url.query)
    assert name == "upload_id"
    assert others == [("upload_protocol", "resumable")]
    assert len(ours) >= 22  # 128 bits in base64
    assert "Google" not in str(answer.headers)
    assert google.asked[0].target == target.encode()
    assert google.asked[0].header("x-goog-api-key") == [GOOGLE_KEY]


async def test_the_address_is_the_public_url(google: StandIn, uploads: GoogleUploads, tmp_path: Path) -> None:
    async with running(tmp_path / "d", google.url, public_url="https://gateway.example/llm") as gateway:
        answer = await exchange(gateway.url, f"POST /gemini{FILES}", body=b"{}", headers=START)
    assert answer.headers["x-goog-upload-url"].startswith(
        f"https://gateway.example/llm/gemini{FILES}?upload_id="
    )


async def test_no_secret_is_in_the_key_file(gateway: Running, uploads: GoogleUploads, tmp_path: Path) -> None:
    upload = await start(gateway.url)
    with sqlite3.connect(tmp_path / "data" / "keys.sqlite") as file:
        ((record,),) = file.execute("SELECT digest || kind || key_id || record FROM sessions").fetchall()
    assert "openfiles" not in record
    assert '"path":"/upload/v1beta/files"' in record
    assert "GoogleSecret" not in record
    assert dict(parse_qsl(urlsplit(upload.url).query))["upload_id"] not in record


@given(st.text(st.characters(max_codepoint=255)), st.text(min_size=22))
def test_a_sealed_text_is_read_with_its_secret_only(text: str, secret: str) -> None:
    assert unseal(secret, seal(secret, text)) == text
    assert len(text) < 8 or seal(secret, text) != seal(secret + "x", text)


# What follows


async def test_a_file_in_chunks(guarded: Running, google: StandIn, uploads: GoogleUploads) -> None:
    secret = await guarded.key(key_alias="up", tags=["own"])
    upload = await start(guarded.url, f"x-goog-api-key: {secret}")
    first = await upload.send("upload", b"abc", "User-Agent: node")
    assert first.headers["x-goog-upload-status"] == "active"
    assert first.headers["x-goog-upload-size-received"] == "3"
    asked = await upload.send("query")
    assert asked.headers["x-goog-upload-size-received"] == "3"
    last = await upload.send("upload, finalize", b"defg", offset=3)
    assert last.headers["x-goog-upload-status"] == "final"
    assert WITHHELD.isdisjoint(last.headers)
    assert last.body == b'{"file": {"name": "files/in-pieces"}}'
    assert uploads.files == {"GoogleSecretId-0": b"abcdefg"}
    for request in google.asked[1:]:
        assert request.target == f"{FILES}?upload_id=GoogleSecretId-0&upload_protocol=resumable".encode()
        assert request.header("x-goog-api-key") == [GOOGLE_KEY]
    assert google.asked[1].header("user-agent") == ["node"]
    rows = await guarded.rows()
    assert [row["request_bytes"] for row in rows] == [2, 3, 0, 4]
    assert [row["response_bytes"] for row in rows] == [0, 0, 0, len(last.body)]
    assert [row["resource"] for row in rows] == [None, None, None, "files/in-pieces"]

    for row in rows:
        assert (row["outcome"], row["action"], row["cost_usd"]) == ("ok", "files.upload", "0.000000000000")
        assert (row["key_alias"], row["tags"], row["user_id"]) == ("up", ["own", "a", "b"], "joe")
        assert (row["user_agent"], row["upstream_key"], row["path"]) == ("sdk/1", "#1", FILES)


async def test_a_file_by_the_older_protocol(guarded: Running, uploads: GoogleUploads) -> None:
    secret = await guarded.key(key_alias="up")
    line = f"POST /gemini{FILES}?uploadType=resumable&key={secret}"
    started = await exchange(guarded.url, line, body=b"{}")
    parts = urlsplit(started.headers["location"])
    assert (parts.netloc, parts.path) == ("localhost", f"/gemini{FILES}")
    assert parse_qsl(parts.query)[1:] == [("uploadType", "resumable")]
    put = f"PUT {parts.path}?{parts.query}"
    ranges = ["bytes */*", "bytes 0-2/7", "bytes 3-6/7"]
    bodies = [b"", b"abc", b"defg"]
    answers = [
        await exchange(guarded.url, put, body=body, headers=[f"Content-Range: {which}"])
        for which, body in zip(ranges, bodies, strict=True)
    ]
    assert [answer.status for answer in answers] == [308, 308, 200]
    assert [answer.headers.get("range") for answer in answers] == [None, "bytes=0-2", None]
    assert uploads.files == {"GoogleSecretId-0": b"abcdefg"}
    rows = await guarded.rows()
    assert [(row["outcome"], row["status"], row["key_alias"]) for row in rows] == [
        ("ok", status, "up") for status in (200, 308, 308, 200)
    ]
    assert [row["resource"] for row in rows] == [None, None, None, "files/in-pieces"]


async def test_a_cancelled_upload_can_be_asked_about(gateway: Running, uploads: GoogleUploads) -> None:
    upload = await start(gateway.url)
    assert (await upload.send("cancel")).headers["x-goog-upload-status"] == "cancelled"
    assert (await upload.send("query")).headers["x-goog-upload-status"] == "cancelled"


@cases(
    ("target", "headers"),
    [
        (FILES + "?uploadType=multipart", ["Content-Type: multipart/related; boundary=b"]),
        (FILES, ["X-Goog-Upload-Protocol: raw"]),
        (FILES, []),
        ("/v1beta/files", ["x-not-an-upload: 1"]),
    ],
)
@cases("form", ["length", "chunked"])
async def test_an_upload_in_one_request(
    gateway: Running, google: StandIn, uploads: GoogleUploads, target: str, headers: list[str], form: str
) -> None:
    content = b"x" * 300_000
    body = {"body": content} if form == "length" else {"chunks": [content[:70_000], content[70_000:]]}
    answer = await exchange(gateway.url, f"POST /gemini{target}", headers=headers, **body)
    assert (answer.status, answer.body) == (200, b'{"file": {"name": "files/at-once"}}')
    assert (google.asked[-1].target, google.asked[-1].body) == (target.encode(), content)
    row = await gateway.row()
    assert (row["outcome"], row["request_bytes"], row["response_bytes"]) == ("ok", 300_000, len(answer.body))
    assert row["resource"] == "files/at-once"


# Where an address may lead


@cases(
    ("address", "target"),
    [
        ("{upstream}/upload/x?upload_id=G&b=1", "/upload/x?upload_id=G&b=1"),
        ("/upload/x?upload_id=G", "/upload/x?upload_id=G"),
        ("https://generativelanguage.googleapis.com/upload/x?upload_id=G", "/upload/x?upload_id=G"),
        ("https://storage.googleapis.com:443/upload/x?id=G", "/upload/x?id=G"),
        ("http://localhost:{port}/upload/x?upload_id=G", "/upload/x?upload_id=G"),
        ("http://[::1]:{port}/upload/x?upload_id=G", "/upload/x?upload_id=G"),
        ("{upstream}/upload/x?key={key}&upload_id=G&b=%2b", "/upload/x?upload_id=G&b=%2b"),
    ],
)
async def test_an_address_of_google_leads_to_the_upstream_that_stands_in_for_it(
    gateway: Running, google: StandIn, address: str, target: str
) -> None:
    async def script(reply: Reply) -> None:
        port = google.url.rpartition(":")[2]
        url = address.format(upstream=google.url, port=port, key=GOOGLE_KEY)
        headers = (f"X-Goog-Upload-URL: {url}",)
        await reply.json(b"", headers=headers if len(google.asked) == 1 else ())

    google.script = script
    upload = await start(gateway.url)
    assert (await upload.send("upload, finalize", b"x")).status == 200
    assert google.asked[1].target == target.encode()
    assert google.asked[1].header("x-goog-api-key") == [GOOGLE_KEY]


@pytest.mark.parametrize(
    "address",
    [
        "https://example.com/upload?upload_id=G",
        "http://generativelanguage.googleapis.com/upload?upload_id=G",
        "https://generativelanguage.googleapis.com:8443/upload?upload_id=G",
        "https://googleapis.com.example.com/upload?upload_id=G",
        "https://notgoogleapis.com/upload?upload_id=G",
        "https://example.com\\@generativelanguage.googleapis.com/upload?upload_id=G",
        "https://user@example.com/upload?upload_id=G",
        "//example.com/upload?upload_id=G",
        "ftp://x.googleapis.com/upload?upload_id=G",
        "http:nonsense",
    ],
)
@pytest.mark.parametrize("header", ["X-Goog-Upload-URL", "Location"])
async def test_a_foreign_address_is_not_followed(
    gateway: Running, google: StandIn, tmp_path: Path, address: str, header: str
) -> None:
    async def script(reply: Reply) -> None:
        await reply.json(b"", headers=(f"{header}: {address}",))

    google.script = script
    with capture_logs() as logged:
        answer = await exchange(gateway.url, f"POST /gemini{FILES}", body=b"{}", headers=START)
    if (header, address) == ("Location", "http:nonsense"):
        assert (answer.status, answer.headers.get("location")) == (200, None)
        return
    assert (answer.status, answer.reason) == (502, "GATEKEEPER_UPSTREAM_UNREACHABLE")
    assert "upload_id" not in str(answer)
    (line,) = [line for line in logged if line["event"] == "upload_address_refused"]
    assert "upload_id" not in str(line)
    row = await gateway.row()
    assert (row["status"], row["outcome"]) == (502, "upstream_error")
    with sqlite3.connect(tmp_path / "data" / "keys.sqlite") as file:
        assert file.execute("SELECT count(*) FROM sessions").fetchone() == (0,)


async def test_a_session_keeps_the_google_key_of_its_start(
    google: StandIn, uploads: GoogleUploads, tmp_path: Path
) -> None:
    async with running(tmp_path / "d", google.url, gemini_api_key="AIzaOne,AIzaTwo") as gateway:
        ups = [await start(gateway.url), await start(gateway.url)]
        for upload in (*ups, *ups):
            await upload.send("query")
        rows = await gateway.rows()
    sent = [request.header("x-goog-api-key")[0] for request in google.asked]
    assert sent == ["AIzaOne", "AIzaTwo"] * 3
    assert [row["upstream_key"] for row in rows] == ["#1", "#2"] * 3
