"""The terminal application: its screens, what they share, and the keys that work everywhere."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable
from datetime import datetime
from typing import ClassVar

from textual import on, work
from textual.app import SystemCommand
from textual.binding import Binding, BindingType
from textual.css.query import NoMatches
from textual.screen import Screen

from gatekeeper.client.admin_api import Client
from gatekeeper.client.api_errors import ApiError
from gatekeeper.client.formats import local_now
from tui.screens.dialog import HelpScreen
from tui.screens.keys_screen import KeysScreen
from tui.screens.logs_screen import LogsScreen
from tui.screens.main_screen import MainScreen
from tui.screens.spend_screen import SpendScreen
from tui.session import LIVE, OFFLINE, Connected, Lost, Session
from tui.terminal import THEME, Shell
from tui.widgets.filter_line import ShowCalls

# Keys of the toolkit that mean nothing here.
TOOLKITS_OWN = frozenset({"app.focus_next", "app.focus_previous", "screen.copy_text"})
# The main screens, in the order of the header. A new one is a file with a `MainScreen`, and a word here.
MAIN_SCREENS: tuple[type[MainScreen], ...] = (LogsScreen, SpendScreen, KeysScreen)


class GatekeeperApp(Shell):
    """Speaks to the gateway at `url` with its master `key`. Raises Refused where `url` is no address."""

    TITLE = "gatekeeper"
    BINDINGS: ClassVar[list[BindingType]] = [
        *(
            Binding(kind.TAB.key, f"switch_mode('{kind.TAB.name}')", kind.TAB.meaning, show=False)
            for kind in MAIN_SCREENS
        ),
        Binding("question_mark", "help", "help"),
        Binding("q", "quit", "quit"),
        # With priority: it works where keys are text, too.
        Binding("ctrl+q", "quit", "quit", show=False, priority=True),
    ]

    def __init__(self, url: str, key: str | None = None, clock: Callable[[], datetime] = local_now) -> None:
        # Native colours are known to be wanted only once the theme is set, but NO_COLOR is judged before.
        super().__init__(ansi_color=True)
        self.ansi_color = None
        self.session = Session(Client(url, key), clock, tabs=tuple(kind.TAB for kind in MAIN_SCREENS))
        self._opened: list[MainScreen] = []
        for kind in MAIN_SCREENS:
            # The toolkit leaves open what its screens return.
            self.add_mode(  # pyright: ignore[reportUnknownMemberType]
                kind.TAB.name, lambda kind=kind: self._open(kind)
            )
        self.register_theme(THEME)
        self.theme = THEME.name

    def _open(self, kind: type[MainScreen]) -> MainScreen:
        # Made when it is first shown, and kept: the log goes on behind the others.
        screen = kind(self.session)
        self._opened.append(screen)
        return screen

    def on_mount(self) -> None:
        self.switch_mode(LogsScreen.TAB.name)
        self._ask_mode()

    async def on_unmount(self) -> None:
        await self.session.client.close()

    def get_system_commands(self, screen: Screen[object]) -> Iterable[SystemCommand]:
        """The palette: every key that works here, by its name."""
        # Of several keys for the same thing the last one stands for them.
        named = {binding.description: binding.key for binding in bindings_of(screen) if binding.description}
        for name, key in named.items():
            yield SystemCommand(name.capitalize(), f"key {key}", lambda key=key: self.simulate_key(key))
        yield SystemCommand("Theme", "choose other colours", self.action_change_theme)

    @on(Connected)
    def _connected(self) -> None:
        self.session.link, self.session.trouble = LIVE, ""
        self._show_link()
        self._ask_mode()

    @on(Lost)
    def _lost(self, message: Lost) -> None:
        self.session.link, self.session.trouble = OFFLINE, f"{message.error} Trying again."
        self._show_link()

    def _show_link(self) -> None:
        for screen in self._opened:
            # One that is just opened, or on its way out, has not all of its widgets to show it.
            with contextlib.suppress(NoMatches):
                screen.show_link()

    @work(exclusive=True)
    async def _ask_mode(self) -> None:
        """What the header tells of the gateway. That it cannot be asked is told by the stream already."""
        try:
            self.session.gateway = (await self.session.client.root()).value
        except ApiError:
            return
        self._show_link()

    @on(ShowCalls)
    def _show_calls(self, message: ShowCalls) -> None:
        # From the log itself esc leads nowhere.
        back_to = None if self.current_mode == LogsScreen.TAB.name else self.current_mode
        self.switch_mode(LogsScreen.TAB.name)
        for screen in self._opened:
            if isinstance(screen, LogsScreen):
                screen.show_calls(message.filter, back_to)

    def action_help(self) -> None:
        self.push_screen(HelpScreen(bindings_of(self.screen)))


def bindings_of(screen: Screen[object]) -> list[Binding]:
    """The bindings that work on a screen now."""
    active = (item.binding for item in screen.active_bindings.values() if item.enabled)
    return [binding for binding in active if not binding.system and binding.action not in TOOLKITS_OWN]


def run(url: str, key: str | None = None) -> None:
    """Runs it until the person quits. Raises tui.errors.Refused where `url` is no address of a gateway."""
    GatekeeperApp(url, key).run()
