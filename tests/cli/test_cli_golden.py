"""What each command prints in 80 cells, as in the files of `golden/`; GATEKEEPER_GOLDEN=write writes them."""

from __future__ import annotations

import os
import re
import shlex
import sys
from copy import deepcopy
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from rich.cells import cell_len
from rig import cli_answers as answers
from rig.cases import cases

HERE = Path(__file__).parent
WIDTH = 80
CONTROLS = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
PAGE = {"next_cursor": None}
# Here, because no test sees such a variable.
WRITE = os.environ.get("GATEKEEPER_GOLDEN") == "write"


class Case(NamedTuple):
    words: str
    answers: dict[str, Any]


CASES = {
    "calls-list": Case(
        "calls list", {"GET /calls": {"calls": answers.CALLS, "next_cursor": answers.CALLS[-1]["id"]}}
    ),
    "calls-list-ok": Case("calls list", {"GET /calls": {"calls": answers.CALLS[:3], **PAGE}}),
    "calls-list-by-tokens": Case(
        "calls list --sort=-tokens", {"GET /calls": {"calls": answers.CALLS, **PAGE}}
    ),
    "calls-list-running": Case("calls list --running", {"GET /calls": {"calls": answers.RUNNING, **PAGE}}),
    "calls-tail": Case("calls tail", {"GET /calls/stream": [answers.events(), (401, {})]}),
    "calls-show": Case(
        f"calls show {answers.CALLS[0]['id']}",
        {f"GET /calls/{answers.CALLS[0]['id']}": {**answers.CALLS[0], "cost": answers.COST}},
    ),
    "spend": Case("spend", {"GET /spend": answers.SPEND}),
    "spend-by-two": Case("spend --by key,model --since monday", {"GET /spend": answers.BY_TWO}),
    "spend-compare": Case(
        "spend --by key --since monday --compare", {"GET /spend": [answers.THIS_WEEK, answers.LAST_WEEK]}
    ),
    "keys-list": Case("keys list", {"GET /key/list": {"keys": answers.KEYS, **PAGE}}),
    "keys-show": Case(
        "keys show web-frontend",
        {"GET /key/info": {"key": answers.KEYS[0]["token_id"], "info": answers.KEYS[0]}},
    ),
    "keys-show-many-tags": Case(
        "keys show web-frontend",
        {"GET /key/info": {"key": "", "info": answers.KEYS[0] | {"tags": [f"team-{n}" for n in range(20)]}}},
    ),
    "keys-create": Case(
        "keys create --alias web-frontend",
        {"POST /key/generate": {**answers.KEYS[0], "key": "sk-not-a-secret-of-anybody"}},
    ),
    "keys-rotate": Case(
        "keys rotate web-frontend --grace 24h",
        {
            "POST /key/regenerate": {
                **answers.KEYS[0],
                "key": "sk-not-a-secret-of-anybody",
                "previous_key_name": "sk-...old4",
                "previous_expires": "2026-11-25T13:07:32.000000Z",
            }
        },
    ),
    "keys-edit": Case("keys edit web-frontend --rpm 60", {"POST /key/update": answers.KEYS[0]}),
    "keys-unblock": Case("keys unblock web-frontend", {"POST /key/unblock": answers.KEYS[0]}),
    "keys-delete": Case(
        "keys delete web-frontend --yes",
        {
            "GET /key/info": {"key": answers.KEYS[0]["token_id"], "info": answers.KEYS[0]},
            "POST /key/delete": {"deleted_keys": [answers.KEYS[0]["token_id"]]},
        },
    ),
    "keys-block": Case("keys block web-frontend", {"POST /key/block": answers.KEYS[0]}),
    "keys-explain": Case(
        "keys explain web-frontend --model gemini-2.5-pro", {"POST /key/explain": answers.EXPLANATION}
    ),
    "groups-list": Case("groups list", {"GET /group/list": {"groups": answers.GROUPS, **PAGE}}),
    "groups-show": Case("groups show shop", {"GET /group/info": answers.GROUPS[0]}),
    "groups-create": Case("groups create shop --max-budget 500", {"POST /group/generate": answers.GROUPS[0]}),
    "users-show": Case("users show user-17", {"GET /user/info": answers.USERS[0]}),
    "users-list": Case("users list", {"GET /user/list": {"users": answers.USERS, **PAGE}}),
    "audit": Case("audit", {"GET /audit": {"changes": answers.CHANGES, "next_cursor": "6"}}),
    "sql": Case("sql 'SELECT 1'", {"POST /sql": answers.SQL}),
    "prices-quote": Case("prices quote gemini-2.5-pro --input 1000 --output 500 --at 2026-11-20", {}),
    "prices-show": Case("prices show gemini-2.5-flash --at 2026-11-20", {}),
    "config": Case("config", {}),
    "init": Case("init --sandbox --open --config made.toml", {}),
    "no-changes": Case("audit --since 1h", {"GET /audit": {"changes": [], **PAGE}}),
    "wrong-key": Case("keys list --key wrong", {"GET /key/list": (401, {})}),
    "no-calls": Case("calls list", {"GET /calls": {"calls": [], **PAGE}}),
    "no-keys": Case("keys list", {"GET /key/list": {"keys": [], **PAGE}}),
    "filter-error": Case(
        "calls list --query 'status:4xx colour:red'",
        {"GET /calls": (400, {"detail": 'column 12: no field is called "colour"', "column": 12})},
    ),
}
LOCAL = ("prices", "config", "init")


@pytest.fixture(autouse=True)
def at_a_fixed_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", str(WIDTH))
    monkeypatch.setattr("gatekeeper.client.call_stream.RETRY_DELAYS", (0.01,))
    for name, module in list(sys.modules.items()):
        if name.startswith("gatekeeper.") and hasattr(module, "local_now"):
            monkeypatch.setattr(module, "local_now", lambda: answers.NOW)


def printed(cli: Any, gateway: Any, case: Case) -> Any:
    gateway.answers = deepcopy(case.answers)
    words = shlex.split(case.words)
    return cli(*words, *(() if words[0] in LOCAL else ("--url", gateway.url)))


def shown(ended: Any) -> str:
    # The port of the gateway, the catalogue, and the day of its check are not the same every time.
    text = re.sub(r"127\.0\.0\.1:\d{5}", "127.0.0.1:40000", f"{ended.out}{ended.err}")
    text = re.sub(r"(?<=checked     )[\d-]+", "2026-11-20", text)
    return re.sub(r"\d{4}-\d\d-\d\d-[0-9a-f]{10}", "2026-11-20-1a2b3c4d", text)


@cases("name", CASES)
def test_what_a_command_prints_in_80_cells(cli: Any, gateway: Any, name: str) -> None:
    text = f"$ gatekeeper {CASES[name].words}\n{shown(printed(cli, gateway, CASES[name]))}"
    file = HERE / "golden" / f"{name}.txt"
    if WRITE:
        file.parent.mkdir(exist_ok=True)
        file.write_text(text)
    assert text == file.read_text()
    assert not CONTROLS.search(text)


@pytest.mark.parametrize("width", [80, 120, 200])
def test_no_line_is_wider_than_the_terminal(
    cli: Any, gateway: Any, monkeypatch: pytest.MonkeyPatch, width: int
) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    for name, case in CASES.items():
        out = printed(cli, gateway, case).out
        assert max(map(cell_len, out.splitlines()), default=0) <= width, name


def test_in_a_pipe_nothing_is_left_out_or_cut(
    cli: Any, gateway: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("COLUMNS")
    for name in ("calls-list", "spend", "keys-list", "audit", "sql", "spend-compare", "calls-tail"):
        text = shown(printed(cli, gateway, CASES[name]))
        assert "No room" not in text, name
        assert "…" not in text.replace("sk-…", ""), name
