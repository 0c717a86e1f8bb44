"""The tasks of docs/tasks.md, each from the start of the application, in a real terminal before a real
gateway that has calls of two months. (`test_documents` runs their commands.)"""

from __future__ import annotations

import re
import shlex
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx2
import pytest
import trio
from rig.process import PATIENCE, Served, serving
from rig.tmux import Terminal
from rig.warm import PYTHONPATH
from uuid_utils import uuid7

from gatekeeper.ledger.call import CallRecord, Outcome
from gatekeeper.ledger.ledger import Ledger

DOCUMENT = (Path(__file__).parents[2] / "docs" / "tasks.md").read_text(encoding="utf-8")
SECTIONS = dict(re.findall(r"^### (.+?)\n(.*?)(?=^### |\Z)", DOCUMENT, re.MULTILINE | re.DOTALL))
STROKE = re.compile(r"`([^`\n]+)`|«([^»\n]+)»")
TMUX_KEYS = {"enter": "Enter", "tab": "Tab", "up": "Up", "→": "Right"}
MOST = 6
# What is on the screen when the task is done.
SEEN = {
    "A key with $50 a month": ["The secret of shop"],
    "Who spent most yesterday, on what?": ["yesterday", "▾ web", "  2.5-pro"],
    "Why did this call fail?": ["what to do:"],
    "Stop that key": ["○ blocked"],
    "Rotate a secret": ["The secret of shop"],
    "Last month as CSV": ["✓ saved to"],
    "The ten dearest calls": ["$12.40"],
    "Which model has no price?": ["gemini-9-ultra (1)"],
    "What would this cost?": ["$0.0015"],
    "A colleague who may only read": ["The secret of anna"],
    "Raise a budget": ["of $900"],
    "What is in flight?": ["◌"],
    "Google's 429s": ["✗ 429"],
    "One call by its id": ["model     gemini-2.5-pro", "$12.40"],
    "This week against last": ["this week", "spent before", "change in $"],
}
# What a person sees before the last key: sooner it would be answered that nothing is loaded yet.
LOADED = {"Last month as CSV": "total $0.0400"}


def strokes(section: str) -> list[tuple[str, str]]:
    """Keys and typed texts of a task: its first line with keys, without alternatives."""
    line = next(line for line in section.splitlines() if line.startswith("`"))
    return STROKE.findall(re.split(r", (?:or|and) ", line)[0])


async def fill(data: Path) -> str:
    """Calls of today, yesterday, last week and last month. Returns the id of one."""
    data.mkdir(parents=True)
    (data / "gatekeeper.kind").write_text("sandbox\n")
    ledger = Ledger(data, "UTC")
    now = datetime.now(UTC)
    last = now.replace(day=1) - timedelta(days=3)
    calls = [
        ended(now - timedelta(days=1), model="gemini-2.5-pro", cost_pico=3_400_000_000_000),
        ended(now - timedelta(days=7), cost_pico=120_000_000_000),
        ended(last, cost_pico=40_000_000_000),
        ended(now - timedelta(minutes=9), model="gemini-2.5-pro", cost_pico=12_400_000_000_000),
        ended(now - timedelta(minutes=8), model="gemini-9-ultra", cost_pico=None),
        ended(now - timedelta(minutes=7), cost_pico=0, status=429, outcome=Outcome.UPSTREAM_ERROR),
    ]
    for call in calls:
        ledger.begin(call)
        ledger.end(call)
    await ledger.close()
    return calls[3].id


def ended(at: datetime, **fields: object) -> CallRecord:
    usual = {"model": "gemini-2.5-flash", "status": 200, "outcome": Outcome.OK, "reason": None}
    if fields.get("status") == 429:
        usual["reason"] = "RESOURCE_EXHAUSTED"
    return CallRecord(
        id=str(uuid7()),
        started_at=int(at.timestamp() * 1e6),
        key_id="key_of_before",
        key_alias="web",
        method="POST",
        path="/v1beta/models/m:generateContent",
        action="generateContent",
        prompt_tokens=1204,
        output_tokens=331,
        total_tokens=1535,
        duration_ms=900.0,
        first_byte_ms=900.0,
        tags=["checkout"],
        **usual | fields,
    )


@asynccontextmanager
async def gateway(folder: Path) -> AsyncIterator[tuple[Served, str]]:
    """It has the key `web`, and one call in flight. With it the id of a call."""
    call_id = await fill(folder / "data")
    async with serving(folder, "--sandbox") as served, trio.open_nursery() as nursery:
        made = await served.post("/key/generate", {"key_alias": "web", "max_budget": 50})
        nursery.start_soon(in_flight, served.url, made["key"])
        yield served, call_id
        nursery.cancel_scope.cancel()


async def in_flight(url: str, secret: str) -> None:
    path = "/gemini/v1beta/models/gemini-2.5-flash:generateContent"
    body = {"contents": [{"parts": [{"text": "!slow"}]}]}
    async with httpx2.AsyncClient(base_url=url, timeout=PATIENCE) as client:
        while True:
            await client.post(path, headers={"x-goog-api-key": secret}, json=body)


def settled(terminal: Terminal, before: str) -> str:
    """The screen once it is another one than `before`, and has been the same for a moment: a person looks
    before the next key. A key may move the cursor only, which takes a second to be believed."""
    begun, last = time.monotonic(), ""
    while True:
        time.sleep(0.1)
        # The header has figures that change by themselves.
        now = terminal.screen().partition("\n")[2]
        changed = now != before or time.monotonic() > begun + 1
        if changed and "◌ loading" not in now and re.sub(r"\d", "", now) == re.sub(r"\d", "", last):
            return now
        last = now


def command(served: Served, folder: Path) -> str:
    """Starts the application again and again in `folder`."""
    code = f"from rig.warm import repeated; repeated('tui', '--url', {served.url!r})"
    words = ["env", f"PYTHONPATH={PYTHONPATH}", "TZ=UTC", sys.executable, "-c", code]
    return f"cd {shlex.quote(str(folder))} && exec {shlex.join(words)}"


def walk(terminal: Terminal, call_id: str) -> None:
    for number, (title, section) in enumerate(SECTIONS.items()):
        if number:
            terminal.restart()
        terminal.shows("● live")
        screen = settled(terminal, "")
        *before, last = strokes(section)
        for key, typed in (*before, last):
            if (key, typed) == last:
                terminal.shows(LOADED.get(title, ""))
            if key:
                terminal.type(TMUX_KEYS.get(key, key))
            else:
                terminal.tmux("send-keys", "-t", "t", "-l", typed.replace("ID", call_id))
            screen = settled(terminal, screen)
        for text in SEEN[title]:
            terminal.shows(text)


@pytest.mark.parametrize(("width", "height"), [(80, 24)])
async def test_each_task_is_done_as_described(tmp_path: Path, width: int, height: int) -> None:
    async with gateway(tmp_path / "gateway") as (served, call_id):
        terminal = Terminal(f"gatekeeper-{served.port}", width, height, command(served, tmp_path))
        try:
            await trio.to_thread.run_sync(walk, terminal, call_id)
        finally:
            terminal.close()


def test_each_task_takes_few_keys_and_one_command() -> None:
    assert len(SECTIONS) == 15
    assert set(SECTIONS) == set(SEEN)
    for title, section in SECTIONS.items():
        assert sum(bool(key) for key, _ in strokes(section)) <= MOST, title
        [commands] = re.findall(r"```sh\n(.*?)```", section, re.DOTALL)
        assert len(commands.strip().splitlines()) == 1, title
