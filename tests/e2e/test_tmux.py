"""The terminal application as a person uses it: a real terminal in front of a real gateway."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest
import trio
from rig.process import PATIENCE, serving
from rig.tmux import Terminal

GENERATE = "/gemini/v1beta/models/gemini-2.5-flash:generateContent"
STREAM = "/gemini/v1beta/models/gemini-2.5-flash:streamGenerateContent?alt=sse"
BODY = {"contents": [{"parts": [{"text": "Write a haiku about keys"}]}]}


@pytest.fixture
def terminals() -> Iterator[list[Terminal]]:
    opened: list[Terminal] = []
    yield opened
    for terminal in opened:
        terminal.close()


def call(url: str, secret: str, path: str = GENERATE) -> int:
    headers = {"x-goog-api-key": secret, "tags": "checkout,eu"}
    return httpx2.post(url + path, headers=headers, json=BODY, timeout=PATIENCE).status_code


@pytest.mark.parametrize(("width", "height"), [(80, 24), (120, 40)])
async def test_a_key_from_its_making_to_its_end(
    tmp_path: Path, terminals: list[Terminal], width: int, height: int
) -> None:
    async with serving(tmp_path / "gateway", "--sandbox") as served:
        command = shlex.join([sys.executable, "-m", "gatekeeper", "tui", "--url", served.url])
        terminal = Terminal(f"gatekeeper-{served.port}", width, height, command)
        terminals.append(terminal)
        await trio.to_thread.run_sync(a_persons_way, terminal, served.url, width, height)


def a_persons_way(terminal: Terminal, url: str, width: int, height: int) -> None:
    screen = terminal.shows("No calls yet")
    assert max(map(len, screen.splitlines())) == width
    assert len(screen.splitlines()) == height

    terminal.type("4")
    terminal.shows("No keys yet")
    terminal.type("n")
    terminal.shows("New key")
    terminal.type("web-frontend", "Enter")
    secret = re.search(r"sk-[\w-]{43}", terminal.shows("sk-"))
    assert secret
    terminal.type("Escape")
    terminal.shows("neither copied nor saved")
    terminal.type("Escape")
    screen = terminal.shows(lambda screen: secret[0] not in screen and "web-frontend" in screen)
    assert "active" in screen

    assert call(url, secret[0]) == 200
    terminal.type("2")
    terminal.shows(lambda screen: "web-frontend" in screen and "✓ 200" in screen)
    assert call(url, secret[0], STREAM) == 200
    terminal.shows(lambda screen: screen.count("✓ 200") == 2)

    terminal.type("Enter")
    screen = terminal.shows("per 1M")
    assert "web-frontend" in screen
    assert re.search(r"total +101\b", screen), "tokens"
    terminal.type("G")
    screen = terminal.shows("output text")
    assert re.search(r"\$0\.000\d{9}", screen), "the exact cost"

    terminal.type("Escape")
    terminal.shows("/ filter")
    terminal.type("3")
    screen = terminal.shows(lambda screen: "Spend by tag" in screen and "checkout" in screen)
    assert "█" in screen

    terminal.type("4")
    terminal.shows("web-frontend")
    terminal.type("b")
    terminal.shows("y yes")
    terminal.type("y")
    terminal.shows("○ blocked")
    assert call(url, secret[0]) == 403
    terminal.type("2")
    terminal.shows("403")

    terminal.type("q")
    terminal_is_gone(terminal)


def terminal_is_gone(terminal: Terminal) -> None:
    deadline = time.monotonic() + PATIENCE
    while subprocess.run([*terminal.server, "has-session"], capture_output=True, check=False).returncode == 0:
        assert time.monotonic() < deadline
        time.sleep(0.05)
