"""The lines of the log: one for each event, whatever its fields hold."""

from __future__ import annotations

import json
import logging
import subprocess
import sys

from hypothesis import given
from hypothesis import strategies as st

from gatekeeper.logs import json_line, terminal_line

VALUES = st.one_of(st.text(), st.integers(), st.booleans(), st.none(), st.lists(st.text()))
CONFIGURE = "from gatekeeper.logs import configure_logs, log; configure_logs(); "


@given(st.dictionaries(st.sampled_from(["detail", "count", "path"]), VALUES))
def test_a_line_for_programs_is_one_json_object(fields: dict[str, object]) -> None:
    line = json_line(logging.WARNING, "some_event", fields)
    assert line.endswith("\n")
    assert len(line.splitlines()) == 1
    parsed = json.loads(line)
    assert parsed.pop("timestamp").endswith("Z")
    assert parsed == {**fields, "event": "some_event", "level": "warning"}


def test_what_json_has_no_form_for_is_told_as_python_shows_it() -> None:
    assert json.loads(json_line(logging.INFO, "e", {"raw": b"\xff"}))["raw"] == "b'\\xff'"


@given(VALUES)
def test_a_line_for_people_cannot_move_the_cursor(value: object) -> None:
    line = terminal_line(logging.ERROR, "some_event", {"detail": value})
    assert line.endswith("\n")
    told = line.partition("detail")[2].removeprefix("\x1b[0m=").removesuffix("\n")
    assert told.isprintable()
    assert told


def logged(code: str) -> list[dict[str, object]]:
    """The lines of a process that runs this code with logs configured."""
    command = [sys.executable, "-c", CONFIGURE + code]
    ended = subprocess.run(command, stderr=subprocess.PIPE, text=True, check=True)
    return [json.loads(line) for line in ended.stderr.splitlines()]


def test_a_library_does_not_fail_by_a_line_that_it_has_got_wrong() -> None:
    lines = logged(
        "import logging\n"
        "logging.getLogger('lib').warning('%d of %d', 'a')\n"
        "logging.getLogger('lib').warning('%(a)s', {'b': 1})\n"
        "logging.getLogger('lib').warning('100 % of %s', 'it')\n"
    )
    assert [line["detail"] for line in lines] == ["%d of %d", "%(a)s", "100 % of %s"]


def test_the_libraries_lines_are_ours_without_an_errors_text() -> None:
    lines = logged(
        "import logging\n"
        "log.log(logging.DEBUG, 'unseen')\n"
        "logging.getLogger('lib').warning('%s left', 'it')\n"
        "try: 1 / 0\n"
        "except ZeroDivisionError: logging.getLogger('lib').exception('failed')\n"
    )
    assert [(line["event"], line["level"], line["detail"]) for line in lines] == [
        ("library", "warning", "it left"),
        ("library", "error", "failed"),
    ]
    assert lines[1]["kind"] == "ZeroDivisionError"
    assert "division by" not in str(lines)
