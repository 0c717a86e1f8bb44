"""An ephemeral token of the Live API acts as the key that created it."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from rig.cases import cases
from rig.gateway import Running
from rig.standin import Reply, StandIn
from rig.wire import exchange

from gatekeeper.keys.sessions import EphemeralToken

LINE = "POST /gemini/v1alpha/auth_tokens"
NAME = "auth_tokens/0123456789abcdef"
CREATED = json.dumps({"name": NAME}).encode()
SECOND = 1_000_000


async def created(gateway: Running) -> EphemeralToken | None:
    return await gateway.gateway.proxy.context.find_token(NAME)  # type: ignore[attr-defined]


@pytest.fixture
def answering(google: StandIn) -> StandIn:
    async def script(reply: Reply) -> None:
        await reply.json(CREATED)

    google.script = script
    return google


@pytest.mark.parametrize("form", ["length", "chunked"])
async def test_a_token_is_known_once_the_client_has_it(
    guarded: Running, answering: StandIn, form: str
) -> None:
    secret = await guarded.key(tags=["own"])
    asked = json.dumps({"uses": 3}).encode()
    body = {"body": asked} if form == "length" else {"chunks": [asked[:3], asked[3:]]}
    fields = [f"x-goog-api-key: {secret}", "tags: a", "x-gatekeeper-user: joe", "accept-encoding: gzip"]
    answer = await exchange(guarded.url, LINE, headers=fields, **body)
    assert (answer.status, answer.body, answer.whole) == (200, CREATED, True)
    assert answering.asked[0].header("accept-encoding") == ["identity"]
    row = await guarded.row()
    token = await created(guarded)
    assert token is not None
    assert (token.key_id, token.google_key, token.uses) == (row["key_id"], "#1", 3)
    assert (token.tags, token.user_id) == (("own", "a"), "joe")
    assert token.expires_at - token.new_sessions_until == (30 - 1) * 60 * SECOND
    assert (row["outcome"], row["response_bytes"]) == ("ok", len(CREATED))


async def test_in_open_mode(gateway: Running, answering: StandIn) -> None:
    await exchange(gateway.url, LINE, body=b"{}")
    token = await created(gateway)
    assert token is not None
    assert token.key_id == "open"


async def test_the_token_is_not_stored_in_clear(gateway: Running, answering: StandIn, tmp_path: Path) -> None:
    await exchange(gateway.url, LINE, body=b"{}")
    with closing(sqlite3.connect(tmp_path / "data" / "keys.sqlite")) as file:
        rows = file.execute("SELECT * FROM sessions").fetchall()
    assert len(rows) == 1
    assert "0123456789abcdef" not in str(rows)


@cases(
    ("status", "body"),
    [
        (400, CREATED),
        (200, b"{}"),
        (200, b'{"name": "files/x"}'),
        (200, b'{"padding": "' + b"x" * 100_000 + b'", "name": "' + NAME.encode() + b'"}'),
    ],
)
async def test_other_responses_pass_as_they_are(
    gateway: Running, google: StandIn, status: int, body: bytes
) -> None:
    async def script(reply: Reply) -> None:
        await reply.json(body, status)

    google.script = script
    answer = await exchange(gateway.url, LINE, body=b"{}")
    assert (answer.status, answer.body) == (status, body)
    assert await created(gateway) is None


async def test_a_response_that_breaks_off_is_an_error(gateway: Running, google: StandIn) -> None:
    async def cut(reply: Reply) -> None:
        await reply.raw(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % (len(CREATED) + 1) + CREATED)
        await reply.stream.aclose()

    google.script = cut
    answer = await exchange(gateway.url, LINE, body=b"{}")
    assert (answer.status, answer.reason) == (502, "GATEKEEPER_UPSTREAM_UNREACHABLE")
    row = await gateway.row()
    assert (row["status"], row["outcome"], row["reason"]) == (502, "upstream_broken", answer.reason)
    assert await created(gateway) is None


async def test_a_token_that_cannot_be_stored_is_not_handed_out(
    gateway: Running, answering: StandIn, tmp_path: Path
) -> None:
    with closing(sqlite3.connect(tmp_path / "data" / "keys.sqlite")) as file:
        file.execute("DROP TABLE sessions")
    answer = await exchange(gateway.url, LINE, body=b"{}")
    assert (answer.status, answer.reason) == (503, "GATEKEEPER_LEDGER_FULL")
    assert NAME.encode() not in answer.body
    assert (await gateway.row())["outcome"] == "refused"


async def test_a_key_has_so_many_tokens(gateway: Running, answering: StandIn) -> None:
    gateway.gateway.proxy.context.sessions.limit = 1  # type: ignore[attr-defined]
    assert (await exchange(gateway.url, LINE, body=b"{}")).status == 200
    answer = await exchange(gateway.url, LINE, body=b"{}")
    assert (answer.status, answer.reason) == (429, "GATEKEEPER_TOO_MANY_PARALLEL")
    assert answer.headers["x-should-retry"] == "false"
    assert NAME.encode() not in answer.body


@cases(
    ("line", "status"),
    [
        (f"{LINE}", 400),
        (f"PATCH /gemini/v1alpha/{NAME}", 404),
        (f"GET /gemini/v1alpha/{NAME.upper()}", 404),
        (f"GET /gemini/v1alpha/{NAME.replace('_t', 'T')}", 404),
        (f"GET /gemini/{NAME}", 404),
        (f"GET /gemini/v1alpha/auth_tokens%2F{NAME.partition('/')[2]}", 404),
        (f"GET /gemini/v1alpha/x/{NAME}:x?a={'b' * 70_000}", 404),
    ],
)
async def test_the_row_of_a_failed_call_has_no_token(
    gateway: Running, google: StandIn, line: str, status: int
) -> None:
    """Neither where Google's message repeats it, nor where the gateway refuses the path."""

    async def script(reply: Reply) -> None:
        error = {"code": status, "message": f"There is no {NAME} here.", "status": "NOT_FOUND"}
        await reply.json(json.dumps({"error": error}).encode(), status)

    google.script = script
    await exchange(gateway.url, line, body=b"{}")
    row = await gateway.row()
    assert row["status"] >= 400
    assert row["error_message"]
    assert NAME.partition("/")[2] not in str(row).lower()
