"""The Audit screen: what it asks, what it says at every size, where its keys lead, and what it exports."""

from __future__ import annotations

import contextlib
import csv
import json
import stat

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tui.audit import FIELDS, AuditFilterError, parse_filter
from tui.screens.audit_screen import AuditScreen

FAULT = (500, {"title": "Internal error", "detail": "The audit log cannot be read: the disk is full."})
WEB = "0193f000-0000-7000-8000-000000000001"


async def opened(stage):
    await stage.press("5")
    await stage.sees("newest 200 changes")


def asked(stage):
    return stage.gateway.asked("/audit")[-1].query


def test_full_and_one_change_as_a_whole(play, pictures):
    async def script(stage):
        await opened(stage)
        await pictures(stage, "audit-full")
        await stage.press("enter")
        await stage.sees("ann (key_ann), as operator")
        await pictures(stage, "audit-entry")
        await stage.press("q", "j", "j", "enter")
        await stage.sees("spend      $1.50 → –")
        await stage.press("escape")
        await stage.sees("newest 200")

    play(script)


def test_empty(play, empty, pictures):
    async def script(stage):
        await stage.press("5")
        await stage.sees("Nothing has been changed yet.")
        await pictures(stage, "audit-empty")
        await stage.press("y")
        await stage.sees("There is no change under the cursor.")

    play(script, empty())


def test_an_error(play, sample, pictures):
    async def script(stage):
        await stage.press("5")
        await stage.sees("The audit log cannot be read")
        await pictures(stage, "audit-error")

    play(script, {**sample(), "GET /audit": FAULT})


def test_loading(play, pictures):
    async def script(stage):
        stage.gateway.hold()
        await stage.press("5")
        await stage.sees("◌ loading the changes")
        await pictures(stage, "audit-loading")

    play(script)


def test_older_changes_come_as_one_scrolls_and_new_ones_by_themselves(play, sample):
    answers = sample()
    audit = answers["GET /audit"]

    async def script(stage):
        await opened(stage)
        await stage.press("G")
        await stage.sees(" 305 changes")
        assert asked(stage)["cursor"] == "106"
        await stage.press("G")
        await stage.sees("rpm_limit 0 → 1")

        def one_more(request):
            page = audit(request)
            new = {**page["changes"][0], "id": 306, "action": "unblock", "key_alias": "new-one"}
            return {**page, "changes": [new, *page["changes"][:-1]], "next_cursor": "107"}

        stage.gateway.answers["GET /audit"] = one_more
        screen = stage.app.screen
        assert isinstance(screen, AuditScreen)
        screen.reload()
        await stage.sees(" 306 changes")
        assert "▶" in next(line for line in stage.text().splitlines() if "rpm_limit 0 → 1" in line)
        await stage.press("g")
        await stage.sees("new-one")

    play(script, answers)


def test_the_filter_is_asked_for_and_cleared(play):
    async def script(stage):
        await opened(stage)
        await stage.press("slash", *"action:block,delete by:master since:7d", "enter")
        await stage.sees("  2 changes")
        assert {name: asked(stage).get(name) for name in FIELDS} == {
            "action": "block,delete",
            "key": None,
            "by": "master",
            "since": "7d",
            "until": None,
        }
        await stage.press("slash", *" key:x", "escape")
        await stage.press("escape")
        await stage.sees("newest 200 changes")

    play(script)


NO_FILTERS = [
    ("web", 3, "web is no term: write action:update,delete"),
    ("by:ann who:x", 10, "who:x is no term"),
    ("by:ann by:bob", 10, "by: is given twice: join its values by commas"),
    ("by:ann action:nonsense", 10, 'there is no action "nonsense"; there are create, update, block'),
]


def test_what_is_no_filter_is_pointed_at(play):
    async def script(stage):
        async def pointed_at(text, pointer, said):
            await stage.press("escape")
            await stage.misses("^")
            await stage.press("slash", *text, "enter")
            await stage.sees(said)
            line = next(line for line in stage.text().splitlines() if "^" in line)
            assert line.index("^") == pointer
            assert "web-frontend" in stage.text()

        await opened(stage)
        await stage.each(NO_FILTERS, pointed_at)

    play(script)


@pytest.mark.parametrize(("opens", "back"), [([], "newest 200"), (["enter"], "newest 200")])
def test_the_changed_key_and_its_calls_are_a_key_away(play, opens, back):
    async def script(stage):
        await opened(stage)
        await stage.press(*opens, "o")
        await stage.until(lambda: stage.gateway.asked("/key/list")[-1].query.get("q") == "web-frontend", "it")
        await stage.sees("/ web-frontend")
        await stage.press("escape")
        await stage.sees(back)
        await stage.press(*opens, "c")
        await stage.until(
            lambda: stage.gateway.asked("/calls")[-1].query.get("q") == f"key:{WEB}", "its calls"
        )
        await stage.sees(f"/ key:{WEB}")
        await stage.press("escape")
        await stage.sees(back)

    play(script)


def test_what_is_no_key_has_no_calls_and_a_change_is_copied(play):
    async def script(stage):
        await opened(stage)
        await stage.press("j", "j", "j", "c")
        await stage.sees("This change is not of a key.")
        await stage.press("y")
        await stage.sees("✓ change 302 copied")
        assert json.loads(stage.app.clipboard)["action"] == "prices.reload"
        await stage.press("enter", "o", "y")
        await stage.sees("by the gateway itself")
        await stage.sees("✓ change 302 copied")

    play(script)


async def exported(stage, path):
    """By the dialog, in place of the name that it suggests."""
    await stage.press("e")
    await stage.sees("Export the changes")
    stage.app.screen.query_one("Input").value = str(path)
    await stage.press("enter")


def test_all_that_the_filter_shows_is_written_to_a_new_file_of_ones_own(play, tmp_path):
    table, lines = tmp_path / "audit.csv", tmp_path / "audit.ndjson"

    async def script(stage):
        await opened(stage)
        await exported(stage, table)
        await stage.sees("✓ 305 changes in")
        await stage.press("slash", *"action:block,delete", "enter")
        await stage.sees("  2 changes")
        await exported(stage, lines)
        await stage.sees("✓ 2 changes in")

    play(script, size=(200, 24))
    assert stat.S_IMODE(table.stat().st_mode) == stat.S_IMODE(lines.stat().st_mode) == 0o600
    rows = list(csv.DictReader(table.read_text().splitlines()))
    assert [int(row["id"]) for row in rows] == list(range(305, 0, -1))
    assert (rows[0]["by_alias"], rows[0]["target"]) == ("ann", "")
    assert json.loads(rows[0]["detail"])["rpm_limit"] == {"from": None, "to": 600}
    assert [json.loads(line)["action"] for line in lines.read_text().splitlines()] == ["block", "delete"]


def test_a_file_that_is_there_stays_and_one_that_cannot_be_finished_goes(play, tmp_path):
    there, new = tmp_path / "there.csv", tmp_path / "new.csv"
    there.write_text("mine")

    async def script(stage):
        await opened(stage)
        await exported(stage, there)
        await stage.sees("exists already: choose another name.")
        await stage.press("escape")
        await exported(stage, tmp_path / "name")
        await stage.sees("The name has to end in .csv or .ndjson.")
        await stage.press("escape")
        await exported(stage, tmp_path / "nowhere" / "new.csv")
        await stage.sees("cannot be written: No such file or directory")
        stage.gateway.answers["GET /audit"] = FAULT
        await exported(stage, new)
        await stage.sees("the disk is full")

    play(script, size=(200, 24))
    assert there.read_text() == "mine"
    assert not new.exists()


VALUE = st.text(st.sampled_from("ab,.:-_ *äé"), min_size=1, max_size=8).filter(str.strip)


@given(st.dictionaries(st.sampled_from(FIELDS), VALUE))
def test_every_filter_is_read_as_it_was_written(values):
    text = " ".join(f'{field}:"{value}"' for field, value in values.items())
    request = parse_filter(text)
    assert {name: found for name in FIELDS if (found := getattr(request, name)) is not None} == values


@given(st.text(max_size=20))
def test_any_text_is_a_filter_or_an_error_that_points_into_it(text):
    with contextlib.suppress(AuditFilterError):
        parse_filter(text)
        return
    with pytest.raises(AuditFilterError) as caught:
        parse_filter(text)
    assert 1 <= (caught.value.problem.column or 0) <= len(text)
