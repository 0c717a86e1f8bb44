"""A gateway with several Google keys: which of them answers a call, and what happens when one does not."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from typing import Any

import pytest
import trio
from rig.google_projects import (
    DAY,
    GENERATE,
    INVALID,
    MINUTE,
    MODEL,
    SUSPENDED,
    UNSUPPORTED,
    GoogleProjects,
    State,
    error,
    hang_up,
    pooled,
    quota,
    slow,
)
from rig.logs import capture_logs
from rig.standin import Reply, StandIn
from rig.uploads import GoogleUploads, start
from rig.wire import Answer, exchange

from gatekeeper.proxy import call_google_key
from gatekeeper.proxy.polling import check_key, check_refused_keys

TWO = {"a": "one", "b": "two"}
SAME = {"a": "one", "b": "one", "c": "two"}
STREAM = f"POST /gemini/v1beta/models/{MODEL}:streamGenerateContent?alt=sse"
JSON = ["Content-Type: application/json"]


def prompt(text: str, *files: str) -> bytes:
    uris = [{"fileData": {"fileUri": f"https://g.example/v1beta/{name}"}} for name in files]
    return json.dumps({"contents": [{"parts": [{"text": text}, *uris]}]}).encode()


async def call(url: str, line: str = GENERATE, body: bytes | None = None) -> Answer:
    return await exchange(url, line, body=prompt("Hello") if body is None else body, headers=JSON)


def used(projects: GoogleProjects) -> list[str]:
    """The labels of the keys of all requests."""
    return [secret.removeprefix("secret-of-") for secret in projects.keys]


MOVES: dict[str, tuple[State, int]] = {
    "a quota of the minute": (quota(MINUTE), 429),
    "a quota of the day": (quota(DAY), 429),
    "no details": (error(429, "Resource has been exhausted (e.g. check quota)."), 429),
    "its own spend cap": (error(429, "Your project has exceeded its monthly spending cap."), 429),
    "a bad AIza key": (INVALID, 400),
    "a bad AQ. key": (UNSUPPORTED, 401),
    "a suspended key": (SUSPENDED, 403),
    "overloaded": (error(503, "The model is overloaded."), 503),
    "an internal error": (error(500, "An internal error has occurred."), 500),
    "its own timeout": (error(504, "Deadline expired."), 504),
}


@pytest.mark.parametrize("line", [GENERATE, STREAM], ids=["unary", "stream"])
@pytest.mark.parametrize(("state", "status"), MOVES.values(), ids=MOVES.keys())
async def test_a_call_that_was_not_answered_goes_to_another_key(
    google: StandIn, tmp_path: Path, line: str, state: State, status: int
) -> None:
    async with pooled(tmp_path, google, TWO) as (gateway, projects):
        plain = await call(gateway.url, line, prompt("before"))
        projects.states["secret-of-b"] = state
        with capture_logs() as logged:
            moved = await call(gateway.url, line)
        row = await gateway.row(2)
    assert (moved.status, moved.body, moved.whole) == (200, plain.body, True)
    ours = {"x-gatekeeper-call-id", "date"}  # between two, a second may begin
    assert {name: text for name, text in moved.headers.items() if name not in ours} == {
        name: text for name, text in plain.headers.items() if name not in ours
    }
    assert used(projects) == ["a", "b", "a"]
    assert (row["upstream_key"], row["status"], row["outcome"]) == ("a", 200, "ok")
    assert row["error_message"] is None
    (change,) = [each for each in logged if each["event"] == "google_key_changed"]
    assert (change["key"], change["to"], change["status"]) == ("b", "a", status)
    assert "secret-of" not in str(logged)
    assert set(projects.charged.values()) == {1}


@pytest.mark.parametrize(
    ("state", "expected"),
    [
        # The quota is that of the project of both.
        (quota(MINUTE), ["a", "c", "c", "c", "c"]),
        (quota("InputTokensPerModelPerMinute"), ["a", "b", "c", "b", "c"]),
        (INVALID, ["a", "b", "c", "b", "c"]),
        (error(503, "Overloaded."), ["a", "b", "c", "a", "b"]),
    ],
)
async def test_the_next_calls_leave_out_what_cannot_answer(
    google: StandIn, tmp_path: Path, state: State, expected: list[str]
) -> None:
    async with pooled(tmp_path, google, SAME) as (gateway, projects):
        projects.states["secret-of-a"] = state
        for _ in range(4):
            assert (await call(gateway.url)).status == 200
    assert used(projects)[:5] == expected


async def test_a_key_that_is_refused_is_an_alarm_once(google: StandIn, tmp_path: Path) -> None:
    async with pooled(tmp_path, google, TWO) as (gateway, projects):
        projects.states["secret-of-a"] = INVALID
        with capture_logs() as logged:
            for _ in range(3):
                await call(gateway.url)
    alarms = [each for each in logged if each["event"] == "google_key_refused"]
    assert [(each["key"], each["why"], each["log_level"]) for each in alarms] == [
        ("a", "API_KEY_INVALID", "error")
    ]


STAYS: dict[str, tuple[State, str, int]] = {
    "the request is wrong": (error(400, "Invalid argument."), GENERATE, 400),
    "there is no such model": (error(404, "models/x is not found."), GENERATE, 404),
    "not allowed": (error(403, "The caller does not have permission"), GENERATE, 403),
    "it hangs up": (hang_up, GENERATE, 502),
    "a batch may have been made": (
        error(503, "."),
        f"POST /gemini/v1beta/models/{MODEL}:batchGenerateContent",
        503,
    ),
    "a cache may have been made": (error(500, "."), "POST /gemini/v1beta/cachedContents", 500),
    "an interaction may have begun": (error(503, "."), "POST /gemini/v1beta/interactions", 503),
}


@pytest.mark.parametrize(("state", "line", "status"), STAYS.values(), ids=STAYS.keys())
async def test_what_may_be_charged_twice_or_is_the_clients_own_is_not_repeated(
    google: StandIn, tmp_path: Path, state: State, line: str, status: int
) -> None:
    async with pooled(tmp_path, google, TWO) as (gateway, projects):
        projects.states = dict.fromkeys(projects.projects, state)
        assert (await call(gateway.url, line)).status == status
        assert len(projects.keys) == 1
        await gateway.row()


async def test_an_answer_that_breaks_off_is_not_asked_for_again(google: StandIn, tmp_path: Path) -> None:
    async def half(reply: Reply) -> bool:
        await reply.raw(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{")
        await reply.stream.aclose()
        return True

    async with pooled(tmp_path, google, TWO) as (gateway, projects):
        projects.states = dict.fromkeys(projects.projects, half)
        assert not (await call(gateway.url)).whole
    assert len(projects.keys) == 1


async def test_a_large_body_is_sent_once_and_its_429_passes(google: StandIn, tmp_path: Path) -> None:
    async with pooled(tmp_path, google, TWO) as (gateway, projects):
        projects.states["secret-of-a"] = quota(MINUTE)
        large = prompt("x" * 300_000)
        assert (await call(gateway.url, body=large)).status == 429
        assert (await call(gateway.url, body=large)).status == 200
    assert used(projects) == ["a", "b"]


async def test_a_request_that_google_stumbles_over_is_repeated_twice(google: StandIn, tmp_path: Path) -> None:
    keys = {label: label for label in "abcde"}
    async with pooled(tmp_path, google, keys) as (gateway, projects):
        projects.states = dict.fromkeys(projects.projects, error(500, "An internal error."))
        answer = await call(gateway.url)
        row = await gateway.row()
    assert (answer.status, json.loads(answer.body)["error"]["message"]) == (500, "An internal error.")
    assert len(projects.keys) == 3
    assert row["error_message"] == "An internal error. Tried before with a (500), b (500)."


async def test_where_none_can_answer_googles_last_error_is_the_answer(
    google: StandIn, tmp_path: Path
) -> None:
    async with pooled(tmp_path, google, TWO) as (gateway, projects):
        projects.states = {"secret-of-a": quota(MINUTE, "40s"), "secret-of-b": quota(MINUTE, "20s")}
        first, second = await call(gateway.url), await call(gateway.url)
        rows = await gateway.rows()
    assert used(projects) == ["a", "b", "b"], "the one that is back first is asked, once"
    for answer in (first, second):
        assert answer.status == 429
        assert json.loads(answer.body)["error"]["details"][1]["retryDelay"] == "20s"
    assert [row["upstream_key"] for row in rows] == ["b", "b"]
    assert rows[0]["error_message"].endswith("Tried before with a (429).")


async def test_a_single_key_is_asked_each_time_and_its_429_passes(google: StandIn, tmp_path: Path) -> None:
    async with pooled(tmp_path, google, {"a": "one"}) as (gateway, projects):
        projects.states["secret-of-a"] = quota(DAY)
        answers = [await call(gateway.url) for _ in range(3)]
        projects.states.clear()
        assert (await call(gateway.url)).status == 200
    assert [answer.status for answer in answers] == [429] * 3
    assert json.loads(answers[0].body)["error"]["message"] == "You exceeded your current quota."
    assert len(projects.keys) == 4


async def test_a_key_that_does_not_answer_in_time_is_left_out(google: StandIn, tmp_path: Path) -> None:
    async with pooled(tmp_path, google, TWO, first_byte_timeout=0.2) as (gateway, projects):
        projects.states["secret-of-a"] = slow(30)
        answers = [await call(gateway.url) for _ in range(4)]
    assert sorted(answer.status for answer in answers) == [200, 200, 200, 504]
    assert used(projects).count("a") == 1, "Google may have run it, so it is not repeated"


async def test_the_deadline_is_that_of_the_first_request(google: StandIn, tmp_path: Path) -> None:
    async def late(reply: Reply) -> bool:
        await trio.sleep(0.4)
        return await error(503, "Overloaded.")(reply)

    async with pooled(tmp_path, google, TWO, first_byte_timeout=0.6) as (gateway, projects):
        projects.states = dict.fromkeys(projects.projects, late)
        assert (await call(gateway.url)).status == 504
    assert len(projects.keys) == 2


# Resources


async def upload(gateway_url: str) -> str:
    answer = await call(gateway_url, "POST /gemini/upload/v1beta/files", b"{}")
    return json.loads(answer.body)["file"]["name"]


async def test_what_a_project_has_made_is_asked_for_there(google: StandIn, tmp_path: Path) -> None:
    async with pooled(tmp_path, google, TWO) as (gateway, projects):
        names = [await upload(gateway.url) for _ in range(4)]
        for name in names * 2:
            read = await call(gateway.url, f"GET /gemini/v1beta/{name}", b"")
            generated = await call(gateway.url, body=prompt("look", name))
            assert (read.status, generated.status) == (200, 200)
        rows = await gateway.rows()
    assert len(projects.keys) == 4 + 16, "each request was answered at once"
    makers = [row["upstream_key"] for row in rows[:4]]
    assert sorted(makers) == ["a", "a", "b", "b"]
    assert [row["upstream_key"] for row in rows[4:]] == [label for label in makers * 2 for _ in range(2)]


async def test_an_upload_stays_with_the_key_of_its_start(google: StandIn, tmp_path: Path) -> None:
    async with pooled(tmp_path, google, TWO) as (gateway, projects):
        google.script = GoogleUploads(google.url)
        begun = await start(gateway.url)
        google.script = projects
        projects.states = dict.fromkeys(projects.projects, error(429, "Too many."))
        assert (await begun.send("upload, finalize", b"abc")).status == 429
    assert len(projects.keys) == 1


@pytest.mark.parametrize("framing", ["Content-Length", "Transfer-Encoding"])
async def test_a_large_body_goes_where_what_it_names_is(
    google: StandIn, tmp_path: Path, framing: str
) -> None:
    async with pooled(tmp_path, google, TWO) as (gateway, projects):
        for name in [await upload(gateway.url) for _ in range(4)]:
            body = json.loads(prompt("look", name))
            body["contents"].append({"parts": [{"text": "x" * 300_000}]})
            sent = json.dumps(body).encode()
            if framing == "Content-Length":
                answer = await call(gateway.url, body=sent)
            else:
                answer = await exchange(gateway.url, GENERATE, chunks=[sent], headers=JSON)
            assert answer.status == 200
            assert google.asked[-1].body == sent
    assert len(projects.keys) == 4 + 4


async def test_what_nobody_is_known_to_have_made_is_found_once(google: StandIn, tmp_path: Path) -> None:
    async with pooled(tmp_path, google, TWO, unowned="allow") as (gateway, projects):
        projects.files["two"].add("files/old")
        answers = [await call(gateway.url, "GET /gemini/v1beta/files/old", b"") for _ in range(3)]
        answers.append(await call(gateway.url, body=prompt("look", "files/old")))
        assert [answer.status for answer in answers] == [200] * 4
        assert used(projects).count("a") <= 1
        missing = await call(gateway.url, "GET /gemini/v1beta/files/none", b"")
        assert missing.status == 403
    assert sorted(used(projects)[-2:]) == ["a", "b"]


async def test_what_a_key_that_is_gone_has_made_is_found(google: StandIn, tmp_path: Path) -> None:
    async with pooled(tmp_path, google, {"old": "one"}) as (gateway, _):
        name = await upload(gateway.url)
    # The project's keys have other labels now, and nothing says that they are of the same one.
    async with pooled(tmp_path, google, {"x": "two", "y": "three"}) as (gateway, projects):
        projects.files["three"].add(name)
        for _ in range(3):
            assert (await call(gateway.url, f"GET /gemini/v1beta/{name}", b"")).status == 200
    assert used(projects).count("x") <= 1


@pytest.mark.parametrize("size", [1, 2, 100])
async def test_a_list_goes_through_all_projects(google: StandIn, tmp_path: Path, size: int) -> None:
    async with pooled(tmp_path, google, TWO) as (gateway, _):
        names = [await upload(gateway.url) for _ in range(5)]
        listed: list[str] = []
        token = ""
        while True:
            line = f"GET /gemini/v1beta/files?pageSize={size}&pageToken={token}"
            answer = await call(gateway.url, line if token else line.partition("&")[0], b"")
            assert answer.status == 200
            page = json.loads(answer.body)
            assert len(page["files"]) <= size
            listed += [file["name"] for file in page["files"]]
            if not (token := page.get("nextPageToken", "")):
                break
        masked = await call(gateway.url, "GET /gemini/v1beta/files?fields=files.name", b"")
    assert sorted(listed) == sorted(names)
    assert masked.status == 200, "as it is, of one project"


async def test_a_resource_stays_with_its_project_when_that_is_out_of_quota(
    google: StandIn, tmp_path: Path
) -> None:
    async with pooled(tmp_path, google, {"a": "one"} | SAME) as (gateway, projects):
        name = await upload(gateway.url)
        projects.states = dict.fromkeys(["secret-of-a", "secret-of-b"], quota(MINUTE))
        answer = await call(gateway.url, body=prompt("look", name))
        assert answer.status == 429, "no other project has the file"
        assert (await call(gateway.url)).status == 200
    assert used(projects)[1] in "ab"


async def test_a_model_of_the_body_has_its_key(google: StandIn, tmp_path: Path) -> None:
    chat = "POST /gemini/v1beta/openai/chat/completions"

    def asks(model: str) -> bytes:
        return json.dumps({"model": model, "messages": [{"role": "user", "content": "Hi"}]}).encode()

    async with pooled(tmp_path, google, TWO, 'models = ["gemini-2.5-*"]') as (gateway, projects):
        assert (await call(gateway.url, chat, asks("gemini-2.5-pro"))).status == 200
        refused = await call(gateway.url, chat, asks("gemini-3-pro-preview"))
        by_path = await call(gateway.url, "POST /gemini/v1beta/models/veo-3:generateContent")
    for answer in (refused, by_path):
        assert (answer.status, answer.reason) == (403, "GATEKEEPER_MODEL_NOT_ALLOWED")
    assert "Google keys is for the model veo-3" in by_path.body.decode()
    assert len(projects.keys) == 1


# All of it


@pytest.mark.parametrize("seed", range(3))
async def test_nothing_is_charged_twice_whatever_the_keys_do(
    google: StandIn, tmp_path: Path, seed: int
) -> None:
    """Each call has a text of its own; Google's log says how often each was charged."""
    chance = Random(seed)
    states: list[State | None] = [state for state, _ in MOVES.values()]

    async def charged_and_lost(reply: Reply) -> bool:
        projects.charged[reply.asked.body.decode()] += 1
        return await hang_up(reply)

    async def charged_and_cut(reply: Reply) -> bool:
        projects.charged[reply.asked.body.decode()] += 1
        await reply.raw(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{")
        return await hang_up(reply)

    states += [None, None, None, slow(0.01), charged_and_lost, charged_and_cut]
    async with pooled(tmp_path, google, FOUR) as (gateway, projects):
        answers: list[Answer] = []

        async def client(number: int) -> None:
            for turn in range(12):
                secret = chance.choice(list(projects.projects))
                state = chance.choice(states)
                projects.states.pop(secret, None)
                if state is not None:
                    projects.states[secret] = state
                line = chance.choice([GENERATE, STREAM])
                answers.append(await call(gateway.url, line, prompt(f"{number}-{turn}")))

        async with trio.open_nursery() as nursery:
            for number in range(5):
                nursery.start_soon(client, number)
        rows = await gateway.rows()
    assert len(answers) == len(rows) == 60
    assert set(projects.charged.values()) <= {1}
    whole = [answer for answer in answers if answer.status == 200 and answer.whole]
    assert len(whole) == sum(row["outcome"] == "ok" for row in rows)


FOUR: dict[str, Any] = {"dead": "one", "daily": "one", "slow": "two", "good": "two"}


async def test_four_keys_in_two_projects(google: StandIn, tmp_path: Path) -> None:
    """One is dead, one out of its project's daily quota, one slow: no client sees any of it."""
    async with pooled(tmp_path, google, FOUR) as (gateway, projects):
        name = await upload(gateway.url)
        projects.states = {
            "secret-of-dead": INVALID,
            "secret-of-daily": quota(DAY),
            "secret-of-slow": slow(0.05),
        }
        answers: list[int] = []

        async def client(number: int) -> None:
            for turn in range(10):
                line = (GENERATE, STREAM)[turn % 2]
                answers.append((await call(gateway.url, line, prompt(f"{number}-{turn}"))).status)

        async with trio.open_nursery() as nursery:
            for number in range(10):
                nursery.start_soon(client, number)
        assert answers == [200] * 100
        assert set(projects.charged.values()) == {1}
        assert len(projects.charged) == 100
        counts = {label: used(projects).count(label) for label in FOUR}
        assert counts["good"] > counts["slow"] > 0
        assert counts["dead"] + counts["daily"] <= 20, "they are asked until they have answered once"
        # The file is at the project of the key that took it.
        before = len(projects.keys)
        assert (await call(gateway.url, f"GET /gemini/v1beta/{name}", b"")).status == 200
        assert set(used(projects)[before:]) <= {"dead", "daily"}
        rows = await gateway.rows()
    assert len(rows) == 102
    assert {row["outcome"] for row in rows} == {"ok"}


async def test_a_refused_key_is_looked_at_again_and_comes_back(google: StandIn, tmp_path: Path) -> None:
    async with pooled(tmp_path, google, TWO) as (gateway, projects):
        context = gateway.gateway.proxy.context
        projects.states["secret-of-a"] = INVALID
        assert [(await call(gateway.url)).status for _ in range(3)] == [200] * 3
        await check_key(context, "a")
        assert context.google_keys.find("a").refused is not None  # pyright: ignore[reportOptionalMemberAccess]
        projects.states["secret-of-a"] = hang_up
        await check_key(context, "a")
        projects.states.clear()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(check_refused_keys, context, 0.001)
            with trio.fail_after(5):
                while context.google_keys.find("a").refused:  # pyright: ignore[reportOptionalMemberAccess]
                    await trio.sleep(0.001)
            nursery.cancel_scope.cancel()
        assert {(await call(gateway.url)).status for _ in range(4)} == {200}
        assert len(await gateway.rows()) == 7, "its own looks leave no rows"
    assert used(projects)[-4:].count("a") >= 2


async def test_a_key_that_was_removed_meanwhile_is_not_looked_at(google: StandIn, tmp_path: Path) -> None:
    async with pooled(tmp_path, google, TWO) as (gateway, projects):
        with capture_logs() as logs:
            await check_key(gateway.gateway.proxy.context, "removed")
    assert (used(projects), logs) == ([], [])


async def test_keys_of_one_project_share_its_free_searches(google: StandIn, tmp_path: Path) -> None:
    model = "gemini-3-flash-preview"
    grounding = {"webSearchQueries": [f"query {number}" for number in range(3000)]}
    usage = {"promptTokenCount": 1000, "candidatesTokenCount": 100, "totalTokenCount": 1100}
    candidate = {"groundingMetadata": grounding, "finishReason": "STOP"}
    body = {"candidates": [candidate], "usageMetadata": usage, "modelVersion": model}
    async with pooled(tmp_path, google, {"a": "one", "b": "one"}) as (gateway, _):
        google.script = lambda reply: reply.json(json.dumps(body).encode())
        for _ in range(2):
            await call(gateway.url, f"POST /gemini/v1beta/models/{model}:generateContent")
        rows = await gateway.rows()
    assert [row["upstream_key"] for row in rows] == ["a", "b"]
    # Of 5,000 a month.
    assert [json.loads(bytes(row["billed_units"]))["grounding_search_free"] for row in rows] == [3000, 2000]


async def test_the_pool_recovers_by_itself(
    google: StandIn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By a clock that is set: until midnight in California one project is left alone, then one call tries."""
    now = round(datetime(2026, 11, 29, 20, tzinfo=UTC).timestamp())
    clock = [now]
    monkeypatch.setattr(call_google_key, "now_micros", lambda: clock[0] * 10**6)
    async with pooled(tmp_path, google, SAME) as (gateway, projects):
        # The clock of the test is not that of the calls' rows.
        projects.states = dict.fromkeys(["secret-of-a", "secret-of-b"], quota(DAY))
        for _ in range(4):
            assert (await call(gateway.url)).status == 200
        assert used(projects) == ["a", "c", "c", "c", "c"]
        clock[0] = now + 11 * 3600
        assert [(await call(gateway.url)).status for _ in range(3)] == [200] * 3
        assert used(projects)[5:] == ["c"] * 3
        # It is midnight there, and the quota is still used up: one call finds out, and its client does not.
        clock[0] = now + 12 * 3600
        assert [(await call(gateway.url)).status for _ in range(3)] == [200] * 3
        assert sorted(set(used(projects)[8:])) in (["a", "c"], ["b", "c"])
        assert used(projects)[8:].count("c") == 3
        projects.states.clear()
        clock[0] = now + 36 * 3600
        assert [(await call(gateway.url)).status for _ in range(12)] == [200] * 12
        assert set(used(projects)[-12:]) == {"a", "b", "c"}
    assert list(projects.charged.values()) == [22], "each call once"


async def test_a_quota_that_a_stream_tells_counts_for_the_next_calls(google: StandIn, tmp_path: Path) -> None:
    said = {"error": {"code": 429, "message": "Used up.", "status": "RESOURCE_EXHAUSTED"}}

    async def late(reply: Reply) -> bool:
        await reply.chunked([b"data: {}\r\n\r\n", b"data: " + json.dumps(said).encode() + b"\r\n\r\n"])
        return True

    async with pooled(tmp_path, google, TWO) as (gateway, projects):
        projects.states["secret-of-a"] = late
        assert (await call(gateway.url, STREAM)).status == 200, "something has gone to the client"
        for _ in range(3):
            assert b"error" not in (await call(gateway.url, STREAM)).body
    assert used(projects) == ["a", "b", "b", "b"]
