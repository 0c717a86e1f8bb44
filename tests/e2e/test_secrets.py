"""No secret is left behind: not in a file, not on the terminal, not in an answer, whatever happens.

Only what must show one does: the answers that hand a new key out, once each.
"""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

from rig.process import Served, command, rows_in_file, serving
from rig.standin import Reply, StandIn
from rig.wire import connect, head, read

GOOGLE, SECOND_GOOGLE = "AIzaGoogleSecretOne", "AQ.GoogleSecretTwo"
MASTER = "master-secret-of-the-gateway"
GIVEN = "sk-secret-that-the-admin-chose"
STRANGER = "AIzaSecretOfAStranger"
SETTINGS = {"GEMINI_API_KEY": f"{GOOGLE},{SECOND_GOOGLE}", "GATEKEEPER_MASTER_KEY": MASTER}
MODEL = "/gemini/v1beta/models/gemini-2.5-flash"
EVENT = b'data: {"candidates": [], "usageMetadata": {"promptTokenCount": 4, "totalTokenCount": 4}}\r\n\r\n'
BAD_KEY = b"""{"error": {"code": 400, "message": "API key not valid: %b", "status": "INVALID_ARGUMENT",
"details": [{"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "API_KEY_INVALID"}]}}"""
SUSPENDED = b"""{"error": {"code": 403, "status": "PERMISSION_DENIED",
"message": "Permission denied: Consumer 'api_key:KEY' has been suspended.",
"details": [{"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "CONSUMER_SUSPENDED",
"domain": "googleapis.com", "metadata": {"containerInfo": "api_key:KEY"}}]}}"""


class Witness:
    """Talks to a gateway and keeps every byte that comes back."""

    def __init__(self, served: Served) -> None:
        self.served = served
        self.heard: list[bytes] = []
        self.sources = (f"127.0.0.{number}" for number in itertools.cycle(range(1, 255)))

    async def ask(self, line: str, *headers: str, body: bytes = b"{}") -> bytes:
        """What came back after the head, which is kept as well. Each is asked from an address of its own, for
        one that shows many wrong credentials is made to wait."""
        async with await connect(self.served.url, next(self.sources)) as stream:
            await stream.send_all(head(line, [*headers, f"Content-Length: {len(body)}"]) + body)
            answer = await read(stream)
            assert answer.status, line
            self.heard += [repr(answer.headers).encode(), answer.body]
            return answer.body

    async def admin(self, line: str, body: bytes = b"", bearer: str = MASTER) -> bytes:
        return await self.ask(line, f"Authorization: Bearer {bearer}", body=body)


async def echo_bad_key(reply: Reply) -> None:
    """Google's refusal of a key repeats it; so do some of its headers."""
    key = reply.asked.header("x-goog-api-key")[0]
    await reply.json(BAD_KEY % key.encode(), status=400, headers=(f"x-goog-api-key: {key}",))


async def echo_suspended_key(reply: Reply) -> None:
    key = reply.asked.header("x-goog-api-key")[0]
    await reply.json(SUSPENDED.replace(b"KEY", key.encode()), status=403)


async def echo_redirect(reply: Reply) -> None:
    key = reply.asked.header("x-goog-api-key")[0]
    await reply.json(b"{}", status=302, headers=(f"x-goog-api-key: {key}", f"Location: https://x/?key={key}"))


async def error_503(reply: Reply) -> None:
    await reply.json(b'{"error": {"code": 503, "message": "x", "status": "UNAVAILABLE"}}', status=503)


async def nonsense(reply: Reply) -> None:
    await reply.raw(b"SSH-2.0-OpenSSH_9.2\r\n\r\n")
    await reply.stream.aclose()


async def broken_stream(reply: Reply) -> None:
    await reply.raw(
        b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
    )
    await reply.raw(b"%x\r\n%b\r\n" % (len(EVENT), EVENT))
    await reply.stream.aclose()


async def every_call(witness: Witness, google: StandIn, keys: dict[str, str]) -> None:
    """Each spelling of a credential with each kind of answer; then what is refused here."""
    generate, stream = f"POST {MODEL}:generateContent", f"POST {MODEL}:streamGenerateContent?alt=sse"
    answer_ok = google.script
    for script in (answer_ok, echo_bad_key, echo_redirect, error_503, nonsense, broken_stream):
        google.script = script
        for secret in keys.values():
            await witness.ask(generate, f"x-goog-api-key: {secret}")
            await witness.ask(f"{generate}?quotaUser=1&key={secret}")
            await witness.ask(stream, f"Authorization: Bearer {secret}", f"User-Agent: {GOOGLE[:4]} agent")
            await witness.ask(f"GET /gemini/v1beta/files/1?%6Bey={secret}&x=y", body=b"")
    google.script = answer_ok
    for secret in (STRANGER, "", keys["blocked"]):
        await witness.ask(f"{generate}?key={secret}&fields=x")
        await witness.ask(f"{generate}?alt=json%26key={secret}")
        await witness.ask(f"POST /gemini/v1beta/files#key={secret}")
        await witness.ask(f"POST /gemini/batch/x?key={secret}")
        await witness.ask(f"{stream}&access_token={secret}", f"Authorization: token {secret}")


async def every_admin_request(witness: Witness, keys: dict[str, str]) -> None:
    """Keys named by their secrets, rightly and wrongly, with the right and the wrong bearer."""
    for path in ("/", "/healthz", "/calls", "/spend?by=key,tag", "/models", "/prices", "/audit", "/key/list"):
        await witness.admin(f"GET {path}")
        await witness.admin(f"GET {path}", bearer=keys["made"])
        await witness.admin(f"GET {path}", bearer=STRANGER)
    for secret in (*keys.values(), STRANGER, MASTER):
        await witness.admin(f"GET /key/info?key={secret}")
        await witness.admin(f"GET /key/list?q={secret[:10]}")
        for verb in ("block", "unblock"):
            await witness.admin(f"POST /key/{verb}", b'{"key": "%b"}' % secret.encode())
    given = GIVEN.encode()
    await witness.admin("POST /key/generate", b'{"key": "%b"}' % given)
    await witness.admin("POST /key/generate", b'{"key": "short%b \\n"}' % given)
    await witness.admin("POST /key/generate", b'{"key": "%b" "no": "JSON"' % given)
    await witness.admin("POST /sql", b'{"query": "SELECT * FROM calls"}')


async def new_keys(served: Served) -> dict[str, str]:
    """Secrets by what was done with their keys. The answers that show them are no witness."""

    async def told(verb: str, **fields: Any) -> str:
        return (await served.post(f"/key/{verb}", fields))["key"]

    return {
        "made": await told("generate", key_alias="made"),
        "given": await told("generate", key_alias="given", key=GIVEN),
        "old": (old := await told("generate", key_alias="rotated")),
        "new": await told("regenerate", key=old),
        "blocked": await told("generate", key_alias="blocked", blocked=True),
    }


async def command_line(folder: Path, served: Served, keys: dict[str, str]) -> list[bytes]:
    """What the commands print, but for those that hand a key out."""
    settings = {**SETTINGS, "GATEKEEPER_URL": served.url}
    words = (("config",), ("keys", "show", keys["made"]), ("keys", "list"))
    masters = (MASTER, MASTER, STRANGER)
    runs = [
        await command(folder, *each, **{**settings, "GATEKEEPER_MASTER_KEY": master})
        for each, master in zip(words, masters, strict=True)
    ]
    assert [run.returncode for run in runs] == [0, 0, 4]
    return [run.stdout + run.stderr for run in runs]


def files(folder: Path) -> list[bytes]:
    """All that the gateway has written by now: data, and what it said."""
    found = [path for path in folder.rglob("*") if path.is_file()]
    assert {"keys.sqlite", "gatekeeper.duckdb", "stdout.txt", "stderr.txt"} <= {path.name for path in found}
    return [path.read_bytes() for path in found]


async def test_no_secret_is_left_behind(folder: Path, google: StandIn) -> None:
    async with serving(folder, "--upstream", google.url, **SETTINGS) as served:
        keys = await new_keys(served)
        witness = Witness(served)
        await every_call(witness, google, keys)
        await every_admin_request(witness, keys)
        printed = await command_line(folder, served, keys)
        while_it_runs = files(folder)
        await served.kill()
    async with serving(folder, "--upstream", google.url, **SETTINGS) as served:
        assert b"google_key_refused" in served.logged().encode(), "the alarm was raised"
    rows = repr(rows_in_file(served.data, "calls::VARCHAR")).encode()  # the file itself packs them
    everything = b"\n".join([*while_it_runs, *files(folder), rows, *witness.heard, *printed])
    assert b"/v1beta/files/1" in rows, "the calls are there"
    assert b'"key_name":"sk-...' in everything, "the keys are there"
    secrets = {"google": GOOGLE, "google 2": SECOND_GOOGLE, "master": MASTER, "stranger": STRANGER, **keys}
    assert [name for name, secret in secrets.items() if secret.encode() in everything] == []


async def test_google_s_word_about_a_suspended_key_is_not_for_clients(folder: Path, google: StandIn) -> None:
    """Google's 403 for a suspended key repeats the key, whole and twice."""
    google.script = echo_suspended_key
    async with serving(folder, "--upstream", google.url, **SETTINGS) as served:
        witness = Witness(served)
        answer = await witness.ask(f"POST {MODEL}:generateContent?key={MASTER}")
        assert GOOGLE.encode() not in answer
        assert b"GATEKEEPER_UPSTREAM_KEY_INVALID" in answer
