"""The terminal application: its main screens, the state they share, and the keys that work everywhere."""

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
from tui.activity import Activity
from tui.screens.dialog import HelpScreen
from tui.screens.keys_screen import KeysScreen
from tui.screens.logs_screen import LogsScreen
from tui.screens.main_screen import MainScreen
from tui.screens.spend_screen import SpendScreen
from tui.session import LIVE, OFFLINE, Connected, Disconnected, EventsReceived, Session
from tui.terminal import THEME, ClipboardApp
from tui.widgets.filter_line import ShowCalls
from tui.widgets.frame import Header

# Textual's own key bindings, which help and palette leave out.
HIDDEN_ACTIONS = frozenset({"app.focus_next", "app.focus_previous", "screen.copy_text"})
# The main screens, in the order of the header. A new one is a module with a `MainScreen`, and an entry here.
MAIN_SCREENS: tuple[type[MainScreen], ...] = (LogsScreen, SpendScreen, KeysScreen)


class GatekeeperApp(ClipboardApp):
    """The application for the gateway at `url` with its `key`. Raises BadRequest if `url` is invalid."""

    TITLE = "gatekeeper"
    BINDINGS: ClassVar[list[BindingType]] = [
        *(
            Binding(kind.TAB.key, f"switch_mode('{kind.TAB.name}')", kind.TAB.meaning, show=False)
            for kind in MAIN_SCREENS
        ),
        Binding("question_mark", "help", "help"),
        Binding("q", "quit", "quit"),
        # With priority: it also works in a text field.
        Binding("ctrl+q", "quit", "quit", show=False, priority=True),
    ]

    def __init__(self, url: str, key: str | None = None, clock: Callable[[], datetime] = local_now) -> None:
        # Textual evaluates NO_COLOR here, before the theme asks for the terminal's own colours.
        super().__init__(ansi_color=True)
        self.ansi_color = None
        self.session = Session(Client(url, key), clock, tabs=tuple(kind.TAB for kind in MAIN_SCREENS))
        self._activity = Activity(self.session, self._refresh_header)
        self._opened: list[MainScreen] = []
        for kind in MAIN_SCREENS:
            # Textual leaves the type of a screen's result unspecified.
            self.add_mode(  # pyright: ignore[reportUnknownMemberType]
                kind.TAB.name, lambda kind=kind: self._open(kind)
            )
        self.register_theme(THEME)
        self.theme = THEME.name

    def _open(self, kind: type[MainScreen]) -> MainScreen:
        # Created when first shown, and kept: the log is updated while another screen is shown.
        screen = kind(self.session)
        self._opened.append(screen)
        return screen

    def on_mount(self) -> None:
        self.switch_mode(LogsScreen.TAB.name)
        self._load_gateway_info()
        self.run_worker(self._activity.run(), group="activity")

    async def on_unmount(self) -> None:
        await self.session.client.close()

    def get_system_commands(self, screen: Screen[object]) -> Iterable[SystemCommand]:
        """The command palette: every key that works here, by its description."""
        # Of several keys with the same description the last one is used.
        named = {binding.description: binding.key for binding in bindings_of(screen) if binding.description}
        for name, key in named.items():
            yield SystemCommand(name.capitalize(), f"key {key}", lambda key=key: self.simulate_key(key))
        yield SystemCommand("Theme", "choose other colours", self.action_change_theme)

    @on(Connected)
    def _connected(self) -> None:
        self.session.connection, self.session.connection_error = LIVE, ""
        self._show_connection()
        self._load_gateway_info()

    @on(Disconnected)
    def _disconnected(self, message: Disconnected) -> None:
        self.session.connection, self.session.connection_error = OFFLINE, f"{message.error} Trying again."
        self._activity.disconnected()
        self._show_connection()

    @on(EventsReceived)
    def _received(self, message: EventsReceived) -> None:
        self._activity.received(message.events)

    def _refresh_header(self) -> None:
        # Dialogs have none; under them it is seen by its clock's next second.
        for header in self.screen.query(Header):
            header.refresh()

    def _show_connection(self) -> None:
        for screen in self._opened:
            # While a screen opens or closes, some of its widgets do not exist.
            with contextlib.suppress(NoMatches):
                screen.show_connection()

    @work(exclusive=True)
    async def _load_gateway_info(self) -> None:
        """Loads what the header shows of the gateway. An error is ignored: the stream reports it."""
        try:
            self.session.gateway = (await self.session.client.root()).value
        except ApiError:
            return
        if self.session.connection == LIVE:
            self._activity.connected()
        self._show_connection()

    @on(ShowCalls)
    def _show_calls(self, message: ShowCalls) -> None:
        # From the log itself there is no screen to go back to.
        back_to = None if self.current_mode == LogsScreen.TAB.name else self.current_mode
        self.switch_mode(LogsScreen.TAB.name)
        for screen in self._opened:
            if isinstance(screen, LogsScreen):
                screen.show_calls(message.filter, back_to)

    def action_help(self) -> None:
        self.push_screen(HelpScreen(bindings_of(self.screen)))


def bindings_of(screen: Screen[object]) -> list[Binding]:
    """The active bindings of a screen, without the hidden ones."""
    active = (item.binding for item in screen.active_bindings.values() if item.enabled)
    return [binding for binding in active if not binding.system and binding.action not in HIDDEN_ACTIONS]


def run(url: str, key: str | None = None) -> None:
    """Runs the application until the user quits. Raises BadRequest where `url` is not an address."""
    GatekeeperApp(url, key).run()
