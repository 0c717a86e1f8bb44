"""The Spend screen: what it asks, what it shows of a ledger of 120 days, and where its keys lead."""

from __future__ import annotations

import csv
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from rig import spend_sample

from gatekeeper.client.spend import Spend, SpendRow
from gatekeeper.ledger import call as ledger_call
from gatekeeper.ledger import filters
from tui.screens.spend_screen import SpendScreen
from tui.spend import periods
from tui.spend.periods import LAST_7_DAYS, Interval
from tui.spend.ranking import Ranking
from tui.spend.sums import SpendData, SpendRequest
from tui.widgets.bars import AXIS
from tui.widgets.filter_line import term

NOW = datetime(2026, 11, 24, 13, 7, 32, tzinfo=UTC)
TOTAL = "total $737.20"
SUMMED = "since:2026-10-26T00:00:00Z until:2026-11-24T13:07:32Z"
MONDAY = "since:2026-11-23T00:00:00Z until:2026-11-24T00:00:00Z"


@pytest.fixture
def ledger(sample):
    return {**sample(), "GET /spend": spend_sample.spend}


def asked(stage, number=4):
    """The groups of the last questions of the screen, each with its start and filter."""
    queries = [request.query for request in stage.gateway.asked("/spend")]
    # The header asks for those of today and of the last minute.
    return [(query["by"], query["since"], query.get("q")) for query in queries if query["by"] != "none"][
        -number:
    ]


def rows(stage):
    """The first words of the lines of the list."""
    lines = stage.text().splitlines()
    [titles] = [number for number, line in enumerate(lines) if " spend " in line]
    return [line[1:].split("  $")[0].rstrip() for line in lines[titles + 1 :] if "  $" in line]


def selected(stage):
    return next(line for line in stage.text().splitlines() if line.startswith("▶"))


async def opened(stage, until=TOTAL):
    await stage.press("3")
    await stage.sees(until)


def test_questions_groups_and_ranges(play, ledger):
    async def script(stage):
        await opened(stage)
        since, before = "2026-10-26T00:00:00Z", "2026-09-26T10:52:28Z"
        assert {(by, at) for by, at, _ in asked(stage)} == {
            ("day", since),
            ("day,tag", since),
            ("tag", since),
            ("tag", before),
        }
        for key, group in (("b", "model"), ("b", "key"), ("b", "user"), ("b", "tag"), ("B", "user")):
            await stage.press(key)
            await stage.sees(f"Spend by {group} · last 30 days · per day")
        await stage.press("right_square_bracket", "right_square_bracket")
        await stage.sees("last 90 days · per week")
        await stage.press("left_square_bracket", "left_square_bracket")
        await stage.sees("last 7 days · per day")
        await stage.press("left_square_bracket", "left_square_bracket")
        await stage.sees("last 24 hours · per hour")
        await stage.until(lambda: ("hour,user", "2026-11-23T14:00:00Z", None) in asked(stage), "hours")

    play(script, ledger)


def test_the_tokens_of_a_row_are_all_of_its_tokens(play, sample, tmp_path, monkeypatch):
    """As on the Overview: thoughts, too."""
    row = {"tag": "a", "calls": 1, "prompt_tokens": 6, "output_tokens": 18, "thoughts_tokens": 600}
    row |= {"total_tokens": 624, "cost_usd": "0.5"}

    async def script(stage):
        await stage.press("3")
        await stage.until(lambda: "624" in stage.text().partition("tokens")[2], "all tokens")
        await stage.press("e")
        await stage.sees("✓ saved to")
        [file] = tmp_path.glob("*.csv")
        assert [line.split(",")[6:10] for line in file.read_text().splitlines()[:2]] == [
            ["cached_tokens", "output_tokens", "thoughts_tokens", "total_tokens"],
            ["", "18", "600", "624"],
        ]

    monkeypatch.chdir(tmp_path)
    play(script, {**sample(), "GET /spend": {"rows": [row], "total": row}})


# What an administrator wants to know, in at most six keys.
TASKS = [
    ("3ty", ["Spend by tag · yesterday · per hour", "▶checkout ", "$21.39"]),
    (["3", "t", "y", "right"], ["▶▾ checkout ", "   gemini-2.5-flash ", "$13.51"]),
    (["3", "h", "h", "right_square_bracket"], ["last 90 days"]),
    ("3twc", ["▲ 0.1 % to the week before until Tue 13:07", "spent before", "+$1.92", "▲ 5.3 %"]),
    ("3tMe", ["last month", "✓ saved to"]),
    ("3", ["? 30 calls of unknown cost, 1 model: gemini-9-ultra (30) · u shows them"]),
    ("3tm", ["this month · per day"]),
    ("3tmi", ["this month · per week", " W44 ", " W48"]),
    ("3tWi", ["last week · per 2 hours", " Mon 00:00"]),
    (["3", "t", "t", "left_square_bracket", "left_square_bracket"], ["Spend by tag · Sun 22 Nov · per hour"]),
    ("3ti", ["Range of time", "t  today", "▶ 3  last 30 days", "esc cancel"]),
]


def test_a_question_takes_a_few_keys(play, ledger, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    async def script(stage):
        async def answered(keys, seen):
            await stage.reopen(SpendScreen)
            for key in keys:
                await stage.press(key)
                if key == "3":
                    await stage.sees(TOTAL)
                await stage.still()
            for text in seen:
                await stage.sees(text)

        await stage.each(TASKS, answered)

    assert all(len(keys) <= 6 for keys, _ in TASKS)
    play(script, ledger, size=(120, 30))


def ledger_since(first, **more):
    """Answers of a ledger whose first call was so many days ago."""

    def spend(request):
        since = spend_sample.moment(request.query["since"])
        begun = NOW.replace(hour=0, minute=0, second=0) - timedelta(days=first)
        request.query["since"] = max(since, begun).isoformat()
        return {**spend_sample.spend(request), **more}

    return spend


# How many days ago the first call was, and what is shown then.
RANGES = [
    (0, "last 24 hours · per hour"),
    (5, "last 7 days · per day"),
    (20, "last 30 days · per day"),
    (80, "last 30 days · per day"),
]


def test_the_range_is_that_of_the_data(play, ledger):
    async def script(stage):
        async def shown(first, title):
            stage.gateway.answers["GET /spend"] = ledger_since(first)
            await stage.reopen(SpendScreen)
            await opened(stage, f"Spend by tag · {title}")
            await stage.press("b")
            await stage.sees(f"Spend by model · {title}")

        await stage.each(RANGES, shown)

    play(script, ledger)


def without(*names):
    """Answers of a ledger whose calls have none of these."""

    def spend(request):
        answer = spend_sample.spend(request)
        for name in names:
            if name in request.query["by"].split(","):
                answer["rows"] = [{**answer["rows"][0], name: None}]
        return answer

    return spend


# What no call has, and what is shown then.
FIRST = [((), "tag"), (("tag",), "key"), (("tag", "key"), "model"), (("user",), "tag")]


def test_what_is_shown_first_tells_calls_apart(play, ledger):
    async def script(stage):
        async def shown(names, group):
            stage.gateway.answers["GET /spend"] = without(*names)
            await stage.reopen(SpendScreen)
            await opened(stage, f"Spend by {group} · last 30 days")

        await stage.each(FIRST, shown)

    play(script, ledger)


def test_a_group_that_no_call_has_says_how_to_get_it(play, ledger):
    async def script(stage):
        await opened(stage, "Spend by key")
        await stage.press("b", "b")
        await stage.sees('No call here has a tag: send the header "tags: checkout", or give a key tags (4).')
        await stage.press("B")
        await stage.sees('No call here names a user: send the header "x-gatekeeper-user: U".')
        await stage.press("B")
        await stage.misses("No call here")

    play(script, {**ledger, "GET /spend": without("tag", "user")})


def test_the_bar_under_the_cursor_is_what_is_ranked(play, ledger):
    async def script(stage):
        await opened(stage)
        assert "▲" not in axis(stage)
        for keys, title, total in (
            (["h"], "Tue 24 Nov", "$23.83  ± 0 % to the day before"),
            (["h"], "Mon 23 Nov", "$29.57  ▲ 98 % to the day before"),
            (["comma"], "Sun 22 Nov", "$14.96"),
            (["full_stop"], "Mon 23 Nov", "$29.57"),
            (["l", "right", "right"], "Tue 24 Nov", "$23.83"),
            (["home"], "Mon 26 Oct", "$25.81"),
            (["h"], "Mon 26 Oct", "$25.81"),
            (["end"], "Tue 24 Nov", "$23.83"),
        ):
            await stage.press(*keys)
            await stage.sees(f"Spend by tag · {title}")
            await stage.sees(f"total {total}")
        assert axis(stage).rstrip("─").endswith("▲▲")
        await stage.press("b")
        await stage.sees("Spend by model · Tue 24 Nov")
        await stage.press("escape")
        await stage.sees("Spend by model · last 30 days")
        await stage.sees(TOTAL)
        assert "▲" not in axis(stage)
        await stage.press("l")
        await stage.sees("Spend by model · Mon 26 Oct")
        await stage.press("left_square_bracket")
        await stage.sees("Spend by model · last 7 days")
        assert "▲" not in axis(stage)

    play(script, ledger)


def test_a_range_is_not_exported_before_it_is_loaded(play, ledger, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    async def script(stage):
        await opened(stage)
        stage.gateway.hold()
        await stage.press("t", "7", "e")
        await stage.sees("not loaded yet")
        assert not list(tmp_path.glob("*.csv"))
        stage.gateway.released.set()
        await stage.sees("last 7 days")
        await stage.press("e")
        await stage.sees("✓")
        assert len(list(tmp_path.glob("*.csv"))) == 1

    play(script, ledger)


def axis(stage):
    return next(line for line in stage.text().splitlines() if "$0 ┼" in line)


def test_enter_shows_the_calls_of_the_bar_or_of_a_row_in_it(play, ledger):
    async def calls(stage, q):
        await stage.until(lambda: stage.gateway.asked("/calls")[-1].query.get("q") == q, q)
        await stage.press("escape")
        await stage.sees("Spend by tag · Mon 23 Nov")

    async def script(stage):
        await opened(stage)
        await stage.press("h", "h", "enter")
        await calls(stage, MONDAY)
        # Not marked as what enter opens.
        assert "▷checkout" in stage.text()
        await stage.press("j")
        await stage.sees("▶checkout")
        await stage.press("j", "enter")
        await calls(stage, f"tag:eu {MONDAY}")
        await stage.press("u")
        await calls(stage, f"cost:none {MONDAY}")

    play(script, ledger)


def test_a_click_selects_a_bar_and_a_second_one_opens_it(play, ledger):
    async def script(stage):
        await opened(stage)
        region = stage.app.screen.chart.content_region
        # Of the bars, three cells each, the one before the last.
        x, y = region.x + AXIS + 28 * 3, region.y + 5
        await stage.pilot.click(offset=(x, y))
        await stage.sees("Spend by tag · Mon 23 Nov")
        await stage.pilot.click(offset=(x + 1, y))
        await stage.until(lambda: stage.gateway.asked("/calls")[-1].query.get("q") == MONDAY, MONDAY)
        await stage.press("escape")
        await stage.sees("Spend by tag · Mon 23 Nov")
        await stage.pilot.click(offset=(region.right - 1, y))
        await stage.pilot.click(offset=(region.x, y))
        await stage.sees("Spend by tag · Mon 23 Nov")

    play(script, ledger)


def test_bars_drawn_as_one_are_selected_together(play, ledger):
    async def script(stage):
        await opened(stage)
        await stage.press("right_square_bracket")
        await stage.sees("last 90 days · per week")
        await stage.press("i")
        await stage.sees("last 90 days · per 2 days")
        await stage.press("h", "h")
        await stage.sees("Spend by tag · 21–22 Nov")
        await stage.sees("to the 2 days before")

    play(script, ledger, size=(80, 24))


def test_the_bar_stays_selected_when_a_new_one_begins(play, ledger, monkeypatch):
    async def script(stage):
        await opened(stage)
        await stage.press("t", "1")
        await stage.sees("last 24 hours")
        await stage.press("h")
        await stage.sees("Spend by tag · Tue 24 Nov, 13:00–13:07")
        stage.app.session.clock = lambda: NOW + timedelta(hours=1)
        monkeypatch.setattr(spend_sample, "NOW", NOW + timedelta(hours=1))
        stage.app.screen.reload()
        await stage.sees("Spend by tag · Tue 24 Nov, 13:00–14:00")
        assert stage.app.screen.chart.cursor == 22

    play(script, ledger)


def test_a_row_opens_into_what_it_is_made_of(play, ledger):
    async def script(stage):
        await opened(stage)
        await stage.press("right")
        await stage.sees("▶▾ checkout")
        assert rows(stage)[:4] == ["▾ checkout", "  gemini-2.5-flash", "  gemini-2.5-pro", "eu"]
        assert ("model", "2026-10-26T00:00:00Z", "tag:checkout") in asked(stage)
        await stage.press("j", "space")
        await stage.sees("▶  ▾ gemini-2.5-flash")
        assert rows(stage)[1:4] == ["  ▾ gemini-2.5-flash", "    web-frontend", "  gemini-2.5-pro"]
        of_flash = ("key", "2026-10-26T00:00:00Z", "tag:checkout model:gemini-2.5-flash")
        assert of_flash in asked(stage, number=6)
        await stage.press("j", "enter")
        q = f"tag:checkout model:gemini-2.5-flash label:web-frontend {SUMMED}"
        await stage.until(lambda: stage.gateway.asked("/calls")[-1].query.get("q") == q, q)
        await stage.press("escape")
        await stage.sees("Spend by tag")
        # From within the opened row to it, and once more to the one above.
        await stage.press("left")
        await stage.sees("▶  gemini-2.5-flash")
        await stage.press("left")
        await stage.sees("▶checkout")
        await stage.misses("▾")
        await stage.press("left")
        assert rows(stage)[:2] == ["checkout", "eu"]

    play(script, ledger, size=(120, 40))


def test_an_opened_row_stays_open_in_every_bar_and_goes_with_its_group(play, ledger):
    async def script(stage):
        await opened(stage)
        await stage.press("right")
        await stage.sees("▾ checkout")
        await stage.press("h")
        await stage.sees("Tue 24 Nov")
        await stage.sees("▾ checkout")
        assert rows(stage)[1] == "  gemini-2.5-flash"
        await stage.press("escape", "b")
        await stage.sees("Spend by model")
        assert "▾" not in stage.text()
        await stage.press("right")
        await stage.sees("  web-frontend")

    play(script, ledger)


def test_a_row_that_is_everything_already_has_no_parts(play, ledger):
    async def script(stage):
        await opened(stage)
        for depth, part in enumerate(("gemini-2.5-flash", "web-frontend", "u-4711")):
            await stage.press("right")
            await stage.sees("▶" + "  " * depth + "▾ ")
            await stage.press("j")
            await stage.until(lambda part=part: part in selected(stage), part)
        before = stage.text()
        await stage.press("right")
        assert stage.text() == before

    play(script, ledger, size=(120, 40))


def test_compared_with_the_period_before(play, ledger):
    async def script(stage):
        await opened(stage)
        await stage.press("c")
        await stage.sees("spent before")
        below = stage.text().partition("spent before")[2].splitlines()
        lines = {line[1:].split()[0]: line.split()[1:] for line in below if "$" in line}
        assert lines["checkout"][:5] == ["$470.40", "$341.09", "+$129.31", "▲", "37.9"]
        assert lines["eval"][:5] == ["$205.27", "$270.55", "−$65.28", "▼", "24.1"]
        assert lines["search"][:3] == ["$45.51", "+$45.51", "new"]
        assert lines["legacy"][:4] == ["$0", "$25.37", "−$25.37", "gone"]
        await stage.press("G", "enter")
        await stage.sees("legacy has no calls in this period, only before.")
        await stage.press("right")
        assert "▾" not in stage.text()
        await stage.press("c")
        await stage.misses("gone")
        await stage.misses("spent before")

    play(script, ledger, size=(120, 40))


def cut(of_before):
    """Answers in which the groups after the first two have no rows of their own, now or before."""

    def spend(request):
        before = spend_sample.moment(request.query["since"]) < datetime(2026, 10, 26, tzinfo=UTC)
        if "top" in request.query and before == of_before:
            request.query["top"] = "2"
        return spend_sample.spend(request)

    return spend


def test_a_group_that_may_be_among_the_others_before_is_not_new(play, ledger):
    async def script(stage):
        await opened(stage)
        await stage.press("c")
        await stage.sees("spent before")
        [search] = [line.split() for line in stage.text().splitlines() if line.startswith(" search ")]
        assert search[1:5] == ["$45.51", "?", "?", "?"]
        assert "new" not in stage.text()

    play(script, {**ledger, "GET /spend": cut(of_before=True)}, size=(120, 40))


def test_groups_that_are_not_told_apart_are_counted_and_have_no_calls_to_show(play, ledger):
    async def script(stage):
        await opened(stage)
        await stage.sees(" … 4 more ")
        await stage.sees("calls in 6 groups")
        await stage.press("c", "G")
        await stage.sees("▶… 4 more ")
        assert "legacy" not in stage.text()
        await stage.press("right", "enter")
        await stage.sees("This row sums many tags: / filters the calls.")
        await stage.sees("Spend by tag")

    play(script, {**ledger, "GET /spend": cut(of_before=False)}, size=(120, 40))


def test_rows_that_the_gateway_cuts_are_said_so(play, ledger):
    def spend(request):
        rest = {"rows": 14, "calls": 20, "cost_usd": "900.5", "unpriced_calls": 0}
        return {**spend_sample.spend(request), "truncated": True, "rest": rest}

    async def script(stage):
        await opened(stage)
        await stage.sees("? the gateway left 14 rows of $900.50 out of its answer: / narrows it down")

    play(script, {**ledger, "GET /spend": spend})


def read(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_the_list_is_exported_as_it_is_shown(play, ledger, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    async def script(stage):
        await opened(stage)
        await stage.press("slash", *"key:web-frontend", "enter")
        await stage.sees("calls in 2 groups")
        await stage.press("right")
        await stage.sees("▾ checkout")
        await stage.press("e")
        path = tmp_path / "spend-by-tag-2026-10-26-to-2026-11-24.csv"
        await stage.sees("✓ saved to")
        assert path.stat().st_mode & 0o777 == 0o600
        written = read(path)
        assert [(row["level"], row["tag"], row["model"]) for row in written] == [
            ("0", "", ""),
            ("1", "checkout", ""),
            ("2", "checkout", "gemini-2.5-flash"),
            ("2", "checkout", "gemini-2.5-pro"),
            ("1", "eu", ""),
        ]
        assert sum(Decimal(row["cost_usd"]) for row in written[2:4]) == Decimal(written[1]["cost_usd"])
        assert {(row["since"], row["until"], row["filter"]) for row in written} == {
            ("2026-10-26T00:00:00Z", "2026-11-24T13:07:32Z", "key:web-frontend")
        }
        content = path.read_bytes()
        await stage.press("c", "e")
        second = tmp_path / "spend-by-tag-2026-10-26-to-2026-11-24-2.csv"
        await stage.until(second.exists, "another file")
        assert path.read_bytes() == content
        assert [row["cost_usd_before"] for row in read(second)][1] == "341.093700000000"
        await stage.press("h", "h")
        await stage.sees("Mon 23 Nov")
        await stage.press("e")
        await stage.until((tmp_path / "spend-by-tag-2026-11-23.csv").exists, "a file of the bar")
        await stage.press("escape", "t", "1")
        await stage.sees("last 24 hours")
        await stage.press("e")
        await stage.until(
            (tmp_path / "spend-by-tag-2026-11-23T14h-to-2026-11-24T13h.csv").exists, "a file of hours"
        )

    play(script, ledger)


def test_unknown_sums_others_and_formulas_in_an_export(play, ledger, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    sums = {"calls": 3, "errors": 0, "cost_usd": None, "unpriced_calls": 3}
    others = {"tag": None, "other": True, "groups": 7, "cost_usd": "1.5", "calls": 9}

    def spend(request):
        answer = {"rows": [{"tag": "=1+1", **sums}, {"tag": None, **sums}], "total": {"calls": 12}}
        if "top" in request.query:
            answer["rows"].append(others)
        return answer

    async def script(stage):
        await opened(stage, "… 7 more")
        await stage.press("c", "e")
        await stage.sees("✓ saved to")
        [path] = tmp_path.iterdir()
        names = ("level", "tag", "other_groups", "calls", "cost_usd", "unpriced_calls", "cost_usd_before")
        assert [tuple(row[name] for name in names) for row in read(path)] == [
            ("0", "", "", "12", "", "0", ""),
            ("1", "'=1+1", "", "3", "", "3", ""),
            ("1", "", "", "3", "", "3", ""),
            ("1", "", "7", "9", "1.5", "0", ""),
        ]

    play(script, {**ledger, "GET /spend": spend})


def test_an_export_that_fails_says_why(play, ledger, tmp_path, monkeypatch):
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)

    async def script(stage):
        await opened(stage)
        gone.rmdir()
        await stage.press("e")
        await stage.sees("✗ It could not be saved: No such file or directory")

    play(script, ledger, size=(200, 24))


def test_there_may_be_nothing_to_export(play, empty):
    async def script(stage):
        await opened(stage, "No calls in this period.")
        await stage.press("e")
        await stage.sees("There is nothing to export.")
        await stage.press("h", "enter", "right", "left", "c", "escape")
        await stage.sees("No calls in this period.")

    play(script, empty())


def test_what_a_bar_covers_is_chosen_where_there_is_a_choice(play, ledger):
    async def script(stage):
        await opened(stage)
        await stage.press("i")
        await stage.sees("per week")
        await stage.press("h")
        await stage.sees("Spend by tag · week 48, 23–24 Nov")
        await stage.press("i")
        await stage.sees("last 30 days · per day")
        await stage.press("t", "t")
        await stage.sees("today · per hour")
        await stage.press("i")
        await stage.sees("This range is shown by hour only.")

    play(script, ledger)


def test_the_range_is_chosen_by_a_click_too_or_not_at_all(play, ledger):
    async def script(stage):
        await opened(stage)
        await stage.press("t")
        await stage.sees("Range of time")
        lines = stage.text().splitlines()
        [y] = [number for number, line in enumerate(lines) if "yesterday" in line]
        await stage.pilot.click(offset=(lines[y].index("yesterday"), y))
        await stage.sees("Spend by tag · yesterday")
        await stage.press("t", "escape")
        await stage.misses("Range of time")
        await stage.press("t", "q")
        await stage.misses("Range of time")
        assert "Spend by tag · yesterday" in stage.text()

    play(script, ledger)


DRILLS = [
    (["g"], ["enter"], f"tag:checkout {SUMMED}"),
    (["j"], ["enter"], f"tag:eu {SUMMED}"),
    (["G", "k"], ["enter"], f"-tag:* {SUMMED}"),
    (["g"], ["u"], f"cost:none {SUMMED}"),
]


def test_sums_lead_to_their_calls_and_back(play, ledger):
    async def script(stage):
        await opened(stage)
        for moves, keys, q in DRILLS:
            await stage.press(*moves, *keys)
            await stage.until(lambda q=q: stage.gateway.asked("/calls")[-1].query.get("q") == q, q)
            await stage.sees(q[:40])
            await stage.press("escape")
            await stage.sees("Spend by tag")
        await stage.press("2")
        await stage.sees("/ key:ALIAS")

    play(script, ledger)


def test_the_cursor_stays_on_its_line_and_comes_back_to_its_group(play, ledger):
    async def script(stage):
        await opened(stage)
        await stage.press("j", "j")
        assert selected(stage).startswith("▶eval")
        await stage.press("b")
        await stage.sees("Spend by model")
        await stage.press("g", "j")
        line = selected(stage)
        await stage.press("B")
        await stage.sees("Spend by tag")
        assert selected(stage).startswith("▶eval")
        await stage.press("b")
        await stage.sees("Spend by model")
        assert selected(stage) == line

    play(script, ledger)


def test_days_of_another_zone_than_ones_own_are_named(play, ledger):
    def zone(name):
        return {**ledger, "GET /": {**ledger["GET /"], "timezone": name}}

    async def other(stage):
        await opened(stage, "per day (Asia/Tokyo)")
        assert asked(stage)[-1][1] in ("2026-10-25T15:00:00Z", "2026-09-25T16:52:28Z")

    async def same(stage):
        await opened(stage, "· per day  ")
        assert "2026-10-25T23:00:00Z" in [since for _, since, _ in asked(stage)]

    play(other, zone("Asia/Tokyo"))
    play(same, zone("Europe/Berlin"))


def test_a_narrow_headline_loses_anything_but_the_total(play, ledger):
    async def script(stage):
        await opened(stage, "total $")
        for key in ("b", "b", "B", "h"):
            await stage.press(key)
            await stage.sees("total $")
        await stage.press("escape", "t", "W", "left_square_bracket")
        await stage.sees("week 46, 9–15 Nov")
        await stage.sees("total $17")

    long = {**ledger, "GET /": {**ledger["GET /"], "timezone": "America/Argentina/Buenos_Aires"}}
    play(script, long, size=(80, 24))


DAY = 86_400_000_000
AT = 1_792_000_000_000_000


@pytest.mark.parametrize(
    ("call", "found"),
    [
        ({"started_at": AT}, True),
        ({"started_at": AT + DAY - 1}, True),
        ({"started_at": AT - 1}, False),
        ({"started_at": AT + DAY}, False),
        ({"started_at": AT, "tags": ["a"]}, False),
        ({"started_at": AT, "model": "other"}, False),
    ],
)
def test_the_calls_behind_a_sum_are_those_that_were_summed(call, found):
    """As the gateway reads the filter that the screen writes, of the calls without a tag."""
    start = datetime.fromtimestamp(AT / 1_000_000, UTC)
    ranking = Ranking("tag", "model:m", Interval(start, start + timedelta(days=1)), Spend(), Spend(), "")
    text = ranking.drill_down_filter(term("tag", None))
    made = ledger_call.CallRecord(**{"id": "x", "method": "POST", "path": "/", "model": "m", **call})
    assert filters.parse(text, now=NOW).matches(made) == found


def test_a_filter_holds_for_all_sums_and_for_the_calls_behind(play, ledger):
    async def script(stage):
        await opened(stage)
        await stage.press("slash", *"key:web-frontend", "enter")
        await stage.sees("calls in 2 groups")
        assert all(q == "key:web-frontend" for _, _, q in asked(stage))
        await stage.press("enter")
        await stage.sees(f"/ key:web-frontend tag:checkout {SUMMED} ")
        await stage.press("escape")
        await stage.sees("/ key:web-frontend ")
        await stage.press("escape")
        await stage.sees("/ filter:")

    play(script, ledger)


def test_a_filter_that_nothing_matches_can_be_cleared(play, ledger):
    async def script(stage):
        await opened(stage)
        await stage.press("slash", *"tag:nobody", "enter")
        await stage.sees("No calls in this period match the filter.   esc clears it")
        await stage.press("escape")
        await stage.sees(TOTAL)

    play(script, ledger)


def test_a_filter_that_is_none(play, ledger):
    def spend(request):
        return (400, {"detail": "column 1: what?"}) if request.query.get("q") else spend_sample.spend(request)

    async def script(stage):
        await opened(stage)
        await stage.press("slash", *"ö", "enter")
        await stage.sees("^ column 1: what?")
        await stage.press("escape")
        await stage.misses("column 1")

    play(script, {**ledger, "GET /spend": spend})


def test_sums_that_cannot_be_had_leave_those_that_were(play, ledger):
    async def script(stage):
        async def left(key):
            stage.gateway.answers["GET /spend"] = spend_sample.spend
            await stage.reopen(SpendScreen)
            await opened(stage)
            stage.gateway.answers["GET /spend"] = (500, {"detail": "The ledger is locked."})
            await stage.press(key)
            await stage.sees("The ledger is locked.")
            await stage.sees("Spend by tag · last 30 days")

        await stage.each([("b",), ("h",), ("right",)], left)

    play(script, ledger)


def data(rows, by_time, both, by="tag"):
    covered = Interval(LAST_7_DAYS.start(NOW, UTC), NOW)
    axis = [periods.bar_label(start, "day", UTC) for start in periods.axis("day", covered, UTC)]
    ranking = Ranking(by, "", covered, Spend(tuple(rows)), Spend(), "")
    request = SpendRequest(by, LAST_7_DAYS, "day")
    return SpendData(request, UTC, axis, covered, ranking, Spend(tuple(by_time)), Spend(tuple(both)))


def test_what_no_named_group_spent_is_that_of_others():
    groups = ["a", "b", "c", None, "e", "f", "g"]
    rows = [SpendRow(tag=tag, cost_usd=Decimal(9 - number)) for number, tag in enumerate(groups)]
    both = [SpendRow(day="2026-11-24", tag=tag, cost_usd=Decimal(2)) for tag in groups]
    chart = data(rows, [SpendRow(day="2026-11-24", cost_usd=Decimal("14.5"))], both).chart()
    assert chart.names == ("a", "b", "c", "(none)", "e")
    assert chart.bars[-1].parts == (2, 2, 2, 2, 2, Decimal("4.5"))
    assert [bar.label for bar in chart.bars] == [f"{day} Nov" for day in range(18, 25)]
    assert chart.note == ""


def test_calls_with_several_tags_count_once_in_a_bar_and_that_is_said():
    rows = [SpendRow(tag=tag, cost_usd=Decimal(4)) for tag in "abc"]
    both = [SpendRow(day="2026-11-24", tag=tag, cost_usd=Decimal("0.0263")) for tag in "abc"]
    chart = data(rows, [SpendRow(day="2026-11-24", cost_usd=Decimal("0.0263"))], both).chart()
    assert chart.names == ("a", "b", "c")
    assert chart.bars[-1].total == pytest.approx(Decimal("0.0263"))
    assert chart.bars[-1].parts[0] == chart.bars[-1].parts[1] == chart.bars[-1].parts[2]
    assert chart.note == "calls with several tags: split among them here, counted under each below"


def test_a_gateway_with_another_clock_may_be_a_day_ahead():
    chart = data([], [SpendRow(day="2026-11-25", cost_usd=Decimal(1))], []).chart()
    assert [bar.label for bar in chart.bars][-2:] == ["24 Nov", "25 Nov"]
