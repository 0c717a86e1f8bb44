"""The column `error_message`: why a call failed, in Google's words or ours, and never a secret."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from rig.cases import cases
from rig.gateway import GOOGLE_KEY, Running, running
from rig.standin import Reply, Script, StandIn
from rig.wire import exchange

from gatekeeper.gemini.response_parser import ResponseParser
from gatekeeper.gemini.upstream_error import TEXT_LIMIT, UpstreamError
from gatekeeper.proxy.failures import (
    CallFailed,
    ClientGone,
    CutByGateway,
    UpstreamBroken,
    error_message,
    google_key_error,
    unreachable,
)

GENERATE = "POST /gemini/v1beta/models/gemini-2.5-flash:generateContent"
MASTER = "master-of-the-tests"
TYPES = "type.googleapis.com/google.rpc."
QUOTA = {"@type": f"{TYPES}QuotaFailure", "violations": [{"quotaId": "RequestsPerDay-FreeTier"}]}
RETRY = {"@type": f"{TYPES}RetryInfo", "retryDelay": "23.512s"}
PLAIN = UpstreamError(code=500, status="INTERNAL", message="It failed.", reason=None, retry_delay=None)


def answering(code: int, **error: Any) -> Script:
    async def answer(reply: Reply) -> None:
        await reply.json(json.dumps({"error": {"code": code, **error}}).encode(), code)

    return answer


async def ends_early(reply: Reply) -> None:
    await reply.raw(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{")
    await reply.stream.aclose()


async def plain_text(reply: Reply) -> None:
    text = f"Upload of {MASTER}\nhas been terminated."
    head = f"HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain\r\nContent-Length: {len(text)}\r\n\r\n"
    await reply.raw((head + text).encode())


async def slams_the_door(reply: Reply) -> None:
    await reply.stream.aclose()


@cases(
    ("script", "message"),
    [
        (answering(500, message="It failed.\n\x1b[2JTry again."), "It failed. [2JTry again."),
        (
            answering(429, message="Slow down.", details=[QUOTA, RETRY]),
            "Slow down. (quota RequestsPerDay-FreeTier; retry in 23.512 s)",
        ),
        (
            answering(
                404, message=f"{GOOGLE_KEY} or {MASTER} or sk-abc_def-123 or AQ.Ab8 is at risk-free.test/FAQ."
            ),
            f"{'*' * len(GOOGLE_KEY)} or [secret] or [secret] or [secret] is at risk-free.test/FAQ.",
        ),
        (answering(503, status="UNAVAILABLE"), "UNAVAILABLE"),
        (plain_text, "Upload of [secret] has been terminated."),
        (ends_early, "The response of the Gemini API ended early."),
        (slams_the_door, "The Gemini API did not answer: "),
    ],
    ids=[
        "control characters",
        "quota and delay",
        "secrets",
        "a status only",
        "plain text",
        "broken",
        "unreachable",
    ],
)
async def test_a_row_says_why_it_failed(
    guarded: Running, google: StandIn, script: Script, message: str
) -> None:
    google.script = script
    await exchange(guarded.url, GENERATE, body=b"{}", headers=[f"x-goog-api-key: {MASTER}"])
    row = await guarded.row()
    assert row["error_message"].startswith(message)
    assert row["error_message"] == message or message.endswith(" ")


async def test_our_own_refusals_say_so_with_their_numbers(guarded: Running, google: StandIn) -> None:
    spent = await guarded.key(max_budget=0.0, key_alias="poor")
    refused = [["x-goog-api-key: nobody"], [f"x-goog-api-key: {spent}"]]
    for headers in refused:
        await exchange(guarded.url, GENERATE, body=b"{}", headers=headers)
    await guarded.row(2)
    unknown, poor = [row["error_message"] for row in await guarded.rows()]
    assert unknown.startswith("This gateway does not know this API key.")
    assert "has spent 0 USD of its budget of 0 USD" in poor


@cases("secret", ["sk-ending-in-word", "sk-ending-in-a--_"])
async def test_a_key_without_an_alias_is_named_as_everywhere_else(guarded: Running, secret: str) -> None:
    await guarded.key(max_budget=0.0, key=secret)
    await exchange(guarded.url, GENERATE, body=b"{}", headers=[f"x-goog-api-key: {secret}"])
    assert f"The key sk-...{secret[-4:]} has spent" in (await guarded.row())["error_message"]


async def test_a_call_that_went_well_has_none(google: StandIn, tmp_path: Path) -> None:
    async with running(tmp_path / "data", google.url) as gateway:
        await exchange(gateway.url, GENERATE + "?key=k", body=b"{}")
        assert (await gateway.row())["error_message"] is None


@cases(
    ("ending", "error", "message"),
    [
        (None, None, None),
        (ClientGone(), None, None),
        (UpstreamBroken(), None, "The response of the Gemini API ended early."),
        (CutByGateway(), None, "The gateway ended the call."),
        (UpstreamBroken(), PLAIN, "The response of the Gemini API ended early. Google said: It failed."),
        (unreachable("no route"), None, "The Gemini API could not be reached: no route. Try again later."),
    ],
)
def test_both_are_told_where_both_said_something(
    ending: CallFailed | None, error: UpstreamError | None, message: str | None
) -> None:
    assert error_message(ending, error, ()) == message


def test_a_refused_google_key_is_told_with_googles_own_words() -> None:
    message = error_message(google_key_error("#2"), PLAIN, ()) or ""
    assert message.startswith("Google refused the gateway's own API key (#2).")
    assert message.endswith("Google said: It failed.")


@given(
    parts=st.lists(
        st.sampled_from(["sesame-42", "AIzaSyAbc-1", "sk-1_a", " ", " risk-free ", "\u202e", "\n", "é"])
    ),
    fill=st.integers(0, 1100),
    quota=st.none() | st.text(max_size=600),
)
def test_whatever_was_said_it_is_one_short_line_without_a_secret(
    parts: list[str], fill: int, quota: str | None
) -> None:
    error: dict[str, Any] = {"message": "x" * fill + " " + "".join(parts)}
    if quota:
        error["details"] = [QUOTA | {"violations": [{"quotaId": quota}]}, RETRY]
    tally = ResponseParser()
    assert tally.read(json.dumps({"error": error}).encode())
    message = error_message(None, tally.error, ["sesame-42"])
    if message is not None:
        assert len(message) <= 500
        assert message.isprintable()
        assert not [word for word in ("sesame", "AIza", "sk-1") if word in message]


def test_a_secret_that_was_cut_where_reading_stops_is_not_told() -> None:
    long = "sesame-42 " * 99
    message = long + "x" * (TEXT_LIMIT - len(long) - 6) + "sesame"
    assert len(message) == TEXT_LIMIT
    assert "sesame" not in (
        error_message(None, UpstreamError(1, None, message, None, None), ["sesame-42"]) or ""
    )
