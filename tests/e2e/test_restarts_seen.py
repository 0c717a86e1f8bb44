"""A gateway killed ten times with calls running, under an open terminal application and under `calls tail`.

The ledger is the truth: in the end both have shown each of its rows once, those of interrupted calls too.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx2
import pytest
from rig import warm
from rig.process import PATIENCE, environment, free_port

from gatekeeper.client.admin_api import Client
from tui.app import GatekeeperApp
from tui.screens.logs_screen import LogsScreen

ROUNDS, QUICK, SLOW = 10, 4, 3
PATH = "/gemini/v1beta/models/gemini-2.5-flash:generateContent"
MARK = "missed calls were loaded from the ledger"


class Restarted:
    """A gateway that is killed and started again on its port and its data."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.process: warm.Process | None = None

    def run(self, *words: str) -> warm.Process:
        """`gatekeeper` with these words. What it prints goes to files named by the first one."""
        name = words[0]
        with (
            (self.folder / f"{name}.out").open("ab") as out,
            (self.folder / f"{name}.err").open("ab") as err,
        ):
            return warm.start(list(words), self.folder, environment({}), out, err)

    async def start(self, http: httpx2.AsyncClient) -> None:
        self.process = self.run("serve", "--sandbox", "--port", str(self.port), "--data", "data")
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            try:
                await http.get("/healthz")
            except httpx2.TransportError:
                await asyncio.sleep(0.005)
            else:
                return
        raise AssertionError((self.folder / "serve.err").read_text())

    async def kill(self) -> None:
        assert self.process
        await end(self.process)


async def end(process: warm.Process) -> None:
    process.kill()
    await until(lambda: process.poll() is not None, "its end")


async def until(condition: Callable[[], object], what: object) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, what() if callable(what) else what
        await asyncio.sleep(0.01)


async def call(http: httpx2.AsyncClient, prompt: str) -> None:
    body = {"contents": [{"parts": [{"text": prompt}]}]}
    try:
        await http.post(PATH, json=body)
    except httpx2.TransportError:
        assert prompt == "!slow"


async def disturb(gateway: Restarted, http: httpx2.AsyncClient) -> None:
    """Each round has calls that end, and some that the kill interrupts."""
    for number in range(ROUNDS):
        if number:
            await gateway.start(http)
        slow = [asyncio.create_task(call(http, "!slow")) for _ in range(SLOW)]
        await asyncio.gather(*(call(http, f"Hello {number}") for _ in range(QUICK)))
        async with Client(gateway.url) as client:
            while len((await client.calls(running=True)).value.calls) < SLOW:
                await asyncio.sleep(0.005)
        await gateway.kill()
        await asyncio.gather(*slow)
    await gateway.start(http)


def outcomes(lines: Any) -> dict[str, str | None]:
    return {call["id"]: call["outcome"] for call in lines}


def test_ten_kills_lose_and_double_no_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gatekeeper.client.call_stream.RETRY_DELAYS", (0.02,))
    asyncio.run(run(Restarted(tmp_path)))


async def run(gateway: Restarted) -> None:
    printed = gateway.folder / "calls.out"
    async with httpx2.AsyncClient(base_url=gateway.url, timeout=PATIENCE) as http:
        await gateway.start(http)
        app = GatekeeperApp(gateway.url)
        tail = gateway.run("calls", "tail", "--json", "--url", gateway.url)
        try:
            async with app.run_test(size=(120, 40)) as pilot:
                await pilot.press("2")
                assert isinstance(app.screen, LogsScreen)
                log = app.screen.log_view
                await until(lambda: log.loaded and app.session.connection.word == "live", "the log")
                await disturb(gateway, http)
                rows = (await http.get("/calls", params={"limit": 1000})).json()["calls"]
                expected = outcomes(rows)
                assert Counter(expected.values()) == {"ok": ROUNDS * QUICK, "interrupted": ROUNDS * SLOW}

                def shown() -> dict[str, str | None]:
                    return {line.call.id: line.call.outcome for line in log.buffer if line.call}

                def seen() -> list[dict[str, Any]]:
                    return [json.loads(line) for line in printed.read_text().splitlines()]

                await until(lambda: shown() == expected, lambda: (shown(), expected))
                await until(lambda: outcomes(seen()) == expected, lambda: (outcomes(seen()), expected))
                marks = [line.text for line in log.buffer if line.call is None and not line.is_day]
                screen = "\n".join(strip.text for strip in app.screen._compositor.render_strips())
        finally:
            await end(tail)
            await gateway.kill()
    assert len(seen()) == len(expected)
    assert 1 <= len(marks) <= ROUNDS
    assert all(MARK in mark for mark in marks)
    assert "● live" in screen
    assert "Traceback" not in (gateway.folder / "calls.err").read_text()
