"""The Logs screen's other orders, calls in flight only, totals, commands and exports, key by key."""

from __future__ import annotations

import csv
import json
import stat

import pytest
from rig.admin_gateway import SAMPLE

CALLS, STARTED = SAMPLE["calls"], SAMPLE["started"]
FINISHED = {**STARTED, "outcome": "ok", "status": 200, "duration_ms": 900.0, "cost_usd": "0.5"}
COLUMN = {"-cost": "cost_usd", "-duration": "duration_ms", "-tokens": "total_tokens"}


def sorted_calls(request):
    """As the gateway sorts; newest first without a sort."""
    column = COLUMN.get(request.query.get("sort"), "id")
    known = [call for call in CALLS if call.get(column) is not None]
    number = float if column != "id" else str
    return {"calls": sorted(known, key=lambda call: number(call[column]))[::-1], "next_cursor": None}


def marked(stage):
    return next((line for line in stage.text().splitlines() if line.startswith("▶")), "")


def test_s_goes_through_the_orders_and_back_to_live(play, sample, pictures):
    async def script(stage):
        await stage.sees("6 calls")
        await stage.press("s")
        await stage.sees("▼ most cost first, as of 14:07:32, not live  (s next order, esc live)")
        await stage.until(lambda: "24 Nov 14:07 nightly-eval" in marked(stage), "the dearest call first")
        await pictures(stage, "logs-sorted")
        await stage.press("s")
        await stage.sees("▼ longest first")
        await stage.until(lambda: "web-frontend" in marked(stage), "the longest call first")
        await stage.press("j", "y")
        assert stage.app.clipboard == CALLS[1]["id"]
        await stage.press("s")
        await stage.sees("▼ most tokens first")
        assert len([line for line in stage.text().splitlines() if " 14:07 " in line]) == 1
        stage.gateway.publish("call.finished", FINISHED)
        await stage.press("s")
        await stage.misses("▼")
        await stage.sees("7 calls")
        await stage.press("s")
        await stage.sees("▼ most cost first")
        await stage.press("escape")
        await stage.misses("▼")

    play(script, {**sample(), "GET /calls": sorted_calls})


def test_an_order_is_of_the_filter_and_a_filter_ends_it(play, sample):
    async def script(stage):
        await stage.sees("6 calls")
        await stage.press("slash", *"tag:eval", "enter")
        await stage.until(lambda: stage.app.screen.log_view.has_focus, "the list to have the focus")
        await stage.press("s")
        await stage.sees("▼ most cost first")
        asked = stage.gateway.asked("/calls")[-1].query
        assert (asked["q"], asked["sort"]) == ("tag:eval", "-cost")
        await stage.press("slash", *" x", "enter")
        await stage.misses("▼")

    play(script, {**sample(), "GET /calls": sorted_calls})


def test_an_order_that_cannot_be_had_leaves_the_log(play, sample):
    def answer(request):
        return (
            (500, {"detail": "The ledger is locked."}) if "sort" in request.query else sorted_calls(request)
        )

    async def script(stage):
        await stage.sees("6 calls")
        await stage.press("s")
        await stage.sees("The ledger is locked.")
        assert "▼" not in stage.text()

    play(script, {**sample(), "GET /calls": answer})


@pytest.mark.usefixtures("soon")
def test_calls_in_flight_only(play, sample, pictures):
    answers = {**sample(), f"GET /calls/{STARTED['id']}": STARTED}

    async def script(stage):
        await stage.sees("6 calls")
        await stage.press("I")
        await stage.sees("◌ in flight only  (I all)")
        await stage.sees("1 call")
        await stage.sees("◌ 2.1s")
        assert "✓ 200" not in stage.text()
        await pictures(stage, "logs-in-flight")
        later = {**STARTED, "id": f"{STARTED['id'][:-1]}9", "tags": ["later"]}
        stage.gateway.answers[f"GET /calls/{later['id']}"] = later
        stage.gateway.publish("call.started", later)
        await stage.sees("later")
        stage.gateway.answers[f"GET /calls/{STARTED['id']}"] = FINISHED
        stage.gateway.publish("call.finished", FINISHED)
        await stage.misses("checkout us")
        # Its end is not told: it is noticed that it is not in flight any more.
        stage.gateway.answers[f"GET /calls/{later['id']}"] = (404, {})
        await stage.sees("No call is in flight.")
        await stage.press("I")
        await stage.sees("✓ 200")
        await stage.misses("in flight only")
        await stage.press("I")
        await stage.sees("in flight only")
        await stage.press("escape")
        await stage.sees("✓ 200")

    play(script, answers)


@pytest.mark.usefixtures("soon")
def test_a_call_that_the_filter_does_not_match_at_its_end_goes(play, sample):
    answers = {**sample(), f"GET /calls/{STARTED['id']}": STARTED}

    async def script(stage):
        await stage.sees("6 calls")
        stage.gateway.publish("call.started", STARTED)
        await stage.sees("checkout us")
        # The gateway does not tell its end to a filter such as -status:200.
        stage.gateway.answers[f"GET /calls/{STARTED['id']}"] = (404, {})
        await stage.misses("checkout us")

    play(script, answers)


def test_totals_of_the_filter_are_the_gateways(play, sample):
    sums = {"calls": 14_203, "cost_usd": "1204.5", "unpriced_calls": 41}
    answers = sample()
    others = answers["GET /spend"]
    answers["GET /spend"] = lambda request: others(request) if "since" in request.query else {"total": sums}
    answers["GET /calls"] = {"calls": CALLS[::-1], "next_cursor": "more"}

    async def script(stage):
        await stage.sees("14,203 calls · $1,204 + 41 of unknown cost")
        asked = [request.query for request in stage.gateway.asked("/spend") if "since" not in request.query]
        assert asked == [{"by": "none"}]
        await stage.resize(80, 24)
        await stage.sees("14,203 calls · $1,204 + 41 × ?")
        sums.update(unpriced_calls=14_203, cost_usd=None)
        await stage.press("slash", *"tag:x", "enter")
        await stage.sees("14,203 calls · 14,203 × ?")
        assert stage.gateway.asked("/spend")[-1].query == {"by": "none", "q": "tag:x"}

    play(script, answers)


def test_a_call_as_curl_has_no_secret(play):
    async def script(stage):
        await stage.sees("6 calls")
        await stage.press("g", "c")
        await stage.sees("✓ a curl command, with $GATEKEEPER_KEY for the key, copied")
        assert stage.app.clipboard.startswith("# a placeholder body")
        assert "streamGenerateContent?alt=sse" in stage.app.clipboard
        await stage.press("enter")
        await stage.sees("tokens")
        stage.app._clipboard = ""
        await stage.press("c")
        await stage.sees("✓ a curl command")
        assert "tags: checkout,eu" in stage.app.clipboard

    play(script)


def test_what_curl_cannot_repeat_is_said(play, sample):
    live = {
        **CALLS[-1],
        "path": "/ws/google.ai.generativelanguage.v1beta.BidiGenerateContent",
    }
    answers = {**sample(), "GET /calls": {"calls": [live]}, f"GET /calls/{live['id']}": live}

    async def script(stage):
        await stage.sees("1 call")
        await stage.press("c")
        await stage.sees("curl cannot repeat")
        await stage.press("enter")
        await stage.sees("↯ abort")
        await stage.press("c")
        await stage.sees("curl cannot repeat")

    play(script, answers)


@pytest.mark.parametrize("extension", ["csv", "ndjson"])
def test_the_calls_of_a_filter_are_written_to_a_new_file(play, sample, tmp_path, monkeypatch, extension):
    monkeypatch.chdir(tmp_path)
    pages = {None: (CALLS[:4], "more"), "more": (CALLS[4:], None)}

    def answer(request):
        if request.query.get("limit") != "1000":
            return {"calls": CALLS[::-1], "next_cursor": None}
        calls, cursor = pages[request.query.get("cursor")]
        return {"calls": calls, "next_cursor": cursor}

    async def script(stage):
        await stage.sees("6 calls")
        await stage.press("e")
        await stage.sees("Export all finished calls of the ledger")
        await stage.sees("calls-20261124-140732.csv")
        await stage.press(*["backspace"] * 3, *"txt", "enter")
        await stage.sees("The name must end with .csv or .ndjson.")
        await stage.press(*["backspace"] * 3, *extension, "enter")
        await stage.sees(f"✓ 6 calls written to calls-20261124-140732.{extension}, readable by you only")
        await stage.press("e", *["backspace"] * 3, *extension, "enter")
        await stage.sees("exists already, and was not changed")
        await stage.press("escape")
        await stage.sees("6 calls")

    play(script, {**sample(), "GET /calls": answer})
    path = tmp_path / f"calls-20261124-140732.{extension}"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    if extension == "ndjson":
        assert [json.loads(line) for line in path.read_text().splitlines()] == CALLS
    else:
        with path.open(newline="") as file:
            head, *rows = csv.reader(file)
        assert head == list(CALLS[0])
        assert [row[0] for row in rows] == [call["id"] for call in CALLS]
        assert json.loads(rows[0][head.index("tags")]) == ["checkout", "eu"]


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        ({"calls": [], "partial": True, "partial_reason": "the file is lent"}, "the file is lent"),
        ((500, {"detail": "The ledger is locked."}), "The ledger is"),
    ],
)
def test_a_file_that_cannot_be_completed_is_not_left(play, sample, tmp_path, monkeypatch, answer, told):
    monkeypatch.chdir(tmp_path)

    async def script(stage):
        await stage.sees("6 calls")
        stage.gateway.answers["GET /calls"] = answer
        await stage.press("e", "enter")
        await stage.sees(told)
        assert list(tmp_path.iterdir()) == []
        await stage.press(*["backspace"] * 40, *"no/such/folder.csv", "enter")
        await stage.sees("cannot be written: No such file or directory")

    play(script, sample())
