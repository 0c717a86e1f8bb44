"""The terminal application before a small gateway, seen as a person sees it."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from functools import partial
from itertools import repeat
from pathlib import Path
from typing import Any

import pytest
from rig.admin_gateway import NOW, Gateway, empty_answers, gateway, sample_answers
from rig.stylesheets import parse_stylesheets_once
from textual import events
from textual._compositor import Compositor
from textual._context import visible_screen_stack
from textual.geometry import Size
from textual.keys import _character_to_key
from textual.message_pump import MessagePump
from textual.pilot import Pilot

from gatekeeper.client import call_stream
from tui.app import GatekeeperApp
from tui.screens import call_screen
from tui.screens.logs_screen import LogsScreen
from tui.screens.overview_screen import OverviewScreen
from tui.screens.screen import MainScreen
from tui.widgets import live_log

parse_stylesheets_once()

HERE = Path(__file__).parent
PATIENCE = 5.0
SIZES = ((80, 24), (120, 40), (200, 60))


def waits(node: MessagePump) -> bool:
    """Whether it has nothing to do, or does not run."""
    queue = node._message_queue
    return not node.is_running or (queue.empty() and bool(queue.ready_event._waiters))


@dataclass
class Stage:
    """The running application with its gateway, seen as a person sees it."""

    gateway: Gateway
    app: GatekeeperApp
    pilot: Pilot[None]
    unanswered: int = 0

    def __post_init__(self) -> None:
        """Counts what the application asks the gateway."""
        client = self.app.session.client
        send = client._send

        async def counted(*request: Any, **more: Any) -> Any:
            self.unanswered += 1
            try:
                return await send(*request, **more)
            finally:
                self.unanswered -= 1

        client._send = counted

    def text(self) -> str:
        """The screen, without the port that the gateway happens to have."""
        visible_screen_stack.set(self.app._background_screens)
        strips = self.app.screen._compositor.render_strips()
        lines = (strip.text.rstrip() for strip in strips)
        return "\n".join(lines).replace(f":{self.gateway.port}", ":40000") + "\n"

    async def press(self, *keys: str) -> None:
        """All at once, as somebody who types fast: the application takes one after the other. Not by the
        pilot, whose waiting for an idle processor costs the suite minutes."""
        for key in keys:
            name = _character_to_key(key) if len(key) == 1 else key
            self.app.post_message(events.Key(name, key if len(key) == 1 else None))
        await self.settle()

    async def resize(self, width: int, height: int) -> None:
        size = Size(width, height)
        self.app._driver._size = size
        self.app.post_message(events.Resize(size, size))
        screens = (*self.app._background_screens, self.app.screen)
        await self.until(lambda: {each._compositor.size for each in screens} == {size}, "the new size")
        await self.still()

    async def still(self) -> None:
        """Until the screen looks as before all that was said has been heard."""
        before = None
        while before != (before := self.text()):
            await self.settle()

    async def settle(self) -> None:
        """Until all that was said so far has been heard, and all that was said of it."""
        deadline = time.monotonic() + PATIENCE
        idle = asyncio.ensure_future(self.app.keyboard.idle())
        # Nothing typed takes effect after q.
        while not (idle.done() or self.app._exit) and time.monotonic() < deadline:
            await asyncio.wait({idle}, timeout=0.01)
        idle.cancel()
        await self._silence()
        # A widget that is told its size may change what others are laid out by; in a batch nothing is yet.
        while self.draw() and not self.app._exit and time.monotonic() < deadline:
            await self._silence()
            await asyncio.sleep(0)
        await self._silence()

    def draw(self) -> bool:
        """As Textual's timer does, some of whose time is not waited for; also what a dialog covers. Whether
        there was more to do than to paint."""
        screens = (*self.app._background_screens, self.app.screen)
        current = [screen for screen in screens if screen.is_current]
        is_due = any(each._layout_required or each._scroll_required or each._callbacks for each in current)
        for screen in screens:
            screen._on_timer_update()
        return is_due

    async def _silence(self) -> None:
        """Until the gateway has answered, unless it holds its answers back, and the application and the
        widgets of its screen all wait for a message. To send one to each and wait for it, as the pilot does,
        costs as much as what is tested."""
        deadline = time.monotonic() + PATIENCE
        while self._asks() or not all(map(waits, [self.app, *self.app.screen.walk_children(with_self=True)])):
            assert time.monotonic() < deadline, f"not silent in {PATIENCE} s\n{self.text()}"
            await asyncio.sleep(0)

    def _asks(self) -> bool:
        return self.unanswered > 0 and self.gateway.released.is_set()

    async def until(self, condition: Callable[[], object], what: str) -> None:
        deadline = time.monotonic() + PATIENCE
        while not condition():
            assert time.monotonic() < deadline, f"not in {PATIENCE} s: {what}\n{self.text()}"
            await asyncio.sleep(0.02)
            self.draw()

    async def reopen(self, *kinds: type[MainScreen]) -> None:
        """Closes main screens, so that the next question finds them as after a start; shows the log."""
        await self.app.switch_mode(LogsScreen.TAB.name)
        for kind in kinds:
            await self.app.remove_mode(kind.TAB.name)
            self.app.add_mode(kind.TAB.name, partial(self.app._open, kind))

    async def each(self, cases: Iterable[tuple[Any, ...]], check: Callable[..., Awaitable[None]]) -> None:
        """Several questions to one application, each of which makes the state that it needs. Raises what
        those raise that fail, each with its case."""
        failed: list[AssertionError] = []
        for case in cases:
            try:
                await check(*case)
            except AssertionError as error:
                error.add_note(f"in the case {case!r}")
                failed.append(error)
        if failed:
            raise ExceptionGroup(f"{len(failed)} cases", failed)

    async def sees(self, text: str) -> None:
        await self.until(lambda: text in self.text(), f"to see {text!r}")
        # A text may be drawn before what comes with it is laid out.
        await self.settle()

    async def misses(self, text: str) -> None:
        await self.until(lambda: text not in self.text(), f"no more to see {text!r}")


def tells_figures(answers: dict[str, Any]) -> bool:
    """Whether the gateway lets the application follow calls, and sums them up."""
    sums = answers.get("GET /spend", (404,))
    return "GET /" in answers and "GET /calls/stream" not in answers and not isinstance(sums, tuple)


class LogsFirst(GatekeeperApp):
    """Most tests begin with the log."""

    FIRST = LogsScreen


Script = Callable[[Stage], Awaitable[None]]


def play(
    script: Script,
    answers: dict[str, Any] | None = None,
    size: tuple[int, int] = (120, 24),
    held: bool = False,
    start: type[GatekeeperApp] = LogsFirst,
) -> None:
    """Runs the application before a gateway, which may hold its answers back, and the script before that."""

    async def run() -> None:
        async with gateway(sample_answers() if answers is None else answers) as served:
            if held:
                served.hold()
            app = start(served.url, clock=lambda: NOW)
            async with app.run_test(size=size) as pilot:
                stage = Stage(served, app, pilot)
                if not held and tells_figures(served.answers):
                    # Otherwise they would come at any time, and change the header of a picture.
                    await stage.until(lambda: app.session.figures, "the header's figures")
                await script(stage)
                if app.screen_stack and not app._exit:
                    stage.text()

    asyncio.run(run())


@pytest.fixture(name="play")
def play_fixture() -> Callable[..., None]:
    return play


@pytest.fixture(name="sample")
def sample_fixture() -> Callable[[], dict[str, Any]]:
    return sample_answers


@pytest.fixture(name="empty")
def empty_fixture() -> Callable[[], dict[str, Any]]:
    return empty_answers


@pytest.fixture
def golden() -> Callable[[str, str], None]:
    """Compares a screen with the file of that name; GATEKEEPER_GOLDEN=write writes the file instead."""

    def compare(name: str, text: str) -> None:
        path = HERE / "golden" / f"{name}.txt"
        if os.environ.get("GATEKEEPER_GOLDEN") == "write":
            path.parent.mkdir(exist_ok=True)
            path.write_text(text)
        assert text == path.read_text()

    return compare


@pytest.fixture
def pictures(golden: Callable[[str, str], None]) -> Callable[[Stage, str], Awaitable[None]]:
    """Compares the screen at every size with the files of that name."""

    async def take(stage: Stage, name: str) -> None:
        for width, height in SIZES:
            await stage.resize(width, height)
            await stage.misses("loading its calls")
            golden(f"{name}-{width}x{height}", stage.text())

    return take


@pytest.fixture(name="gateway")
def gateway_fixture() -> Callable[..., Any]:
    """`async with gateway(answers) as served:` in the loop of the test."""
    return gateway


@pytest.fixture
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the application does again after a second or more, it does after a tenth: where that it does so
    is the subject, and not when."""
    monkeypatch.setattr(call_stream, "backoff", lambda: repeat(0.1))
    monkeypatch.setattr(call_screen, "RELOAD_SECONDS", 0.1)
    monkeypatch.setattr(live_log, "RELOAD_SECONDS", 0.1)
    monkeypatch.setattr(live_log, "POLL_SECONDS", 0.1)
    monkeypatch.setattr(OverviewScreen, "RELOAD_SECONDS", 0.1)


def not_drawn(compositor: Compositor, full: bool = False, screen_stack: Any = None, **more: Any) -> Any:
    """What Textual draws after each change, where there is no terminal: it would be thrown away. `text` draws
    what has changed since a test looked."""
    if full:
        return RENDER_UPDATE(compositor, full, screen_stack, **more)
    compositor._dirty_regions.clear()
    return None


RENDER_UPDATE = Compositor.render_update


@pytest.fixture(autouse=True)
def _stable(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The person's zone is Amsterdam's; no colours or theme, no tmux, no proxy of the machine that tests."""
    monkeypatch.setenv("TZ", "Europe/Amsterdam")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    time.tzset()
    # Drawn when a test looks, and not also sixty times a second before it does.
    monkeypatch.setattr("textual.screen.UPDATE_PERIOD", 0.2)
    monkeypatch.setattr(Compositor, "render_update", not_drawn)
    for name in ("TMUX", "NO_COLOR", "HTTP_PROXY", "http_proxy"):
        monkeypatch.delenv(name, raising=False)
