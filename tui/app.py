"""The terminal application: its main screens, the state they share, and the keys that work everywhere."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable
from datetime import datetime
from functools import partial
from typing import ClassVar

from textual import on, work
from textual.binding import Binding, BindingType
from textual.css.query import NoMatches
from textual.screen import ModalScreen

from gatekeeper.client.admin_api import Client
from gatekeeper.client.api_errors import ApiError
from gatekeeper.client.columns import TextRole
from gatekeeper.client.formats import local_now
from tui.bindings import Scope, active_bindings, key_label, keys_by_name
from tui.header_figures import HeaderFigures
from tui.screens.audit_screen import AuditScreen
from tui.screens.help_screen import HelpScreen
from tui.screens.keys_screen import KeysScreen
from tui.screens.logs_screen import LogsScreen
from tui.screens.overview_screen import OverviewScreen
from tui.screens.palette import Command, Palette, recent_first
from tui.screens.quote_dialog import QuoteDialog
from tui.screens.screen import MainScreen
from tui.screens.spend_screen import SpendScreen
from tui.session import LIVE, OFFLINE, Connected, Disconnected, EventsReceived, Session
from tui.terminal import ClipboardApp
from tui.themes import MEANINGS, THEMES, save_theme, saved_theme, theme_file
from tui.widgets.filter_line import ShowCalls, ShowKey, ShowKeys
from tui.widgets.frame import Footer, Header

# The main screens, in the order of the header. A new one is a module with a `MainScreen`, and an entry here.
MAIN_SCREENS: tuple[type[MainScreen], ...] = (
    OverviewScreen,
    LogsScreen,
    SpendScreen,
    KeysScreen,
    AuditScreen,
)


class GatekeeperApp(ClipboardApp):
    """The application for the gateway at `url` with its `key`. Raises BadRequest if `url` is invalid."""

    TITLE = "gatekeeper"
    FIRST: ClassVar[type[MainScreen]] = OverviewScreen
    # Textual's; there is one of our own.
    ENABLE_COMMAND_PALETTE = False
    CSS = """
    Input > .input--placeholder, Input > .input--suggestion { color: $foreground; text-style: dim; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        *(
            Binding(tab.key, f"switch_mode('{tab.name}')", tab.meaning, False, tooltip=f"Go to {tab.title}")
            for tab in (kind.TAB for kind in MAIN_SCREENS)
        ),
        Binding("w", "quote", "what would it cost", show=False, tooltip="What would a call cost?"),
        Binding("question_mark", "help", "help", tooltip="Help: all keys of this screen"),
        Binding("q", "back_or_quit", "quit", tooltip="Quit; in a detail or dialog: back"),
        # With priority they also work in a text field.
        Binding("ctrl+p", "palette", "palette", show=False, priority=True, tooltip="Find an action by name"),
        Binding("ctrl+q", "quit", "quit", show=False, priority=True, tooltip="Quit at once"),
    ]

    def __init__(self, url: str, key: str | None = None, clock: Callable[[], datetime] = local_now) -> None:
        super().__init__()
        self.ansi_color = None
        self.session = Session(Client(url, key), clock, tabs=tuple(kind.TAB for kind in MAIN_SCREENS))
        self._figures = HeaderFigures(self.session, self._refresh_header)
        self._opened: list[MainScreen] = []
        # Identities of commands, the one that was run last first.
        self._recent: list[str] = []
        for kind in MAIN_SCREENS:
            # Textual leaves the type of a screen's result unspecified.
            self.add_mode(  # pyright: ignore[reportUnknownMemberType]
                kind.TAB.name, lambda kind=kind: self._open(kind)
            )
        for theme in THEMES:
            self.register_theme(theme)
        self.theme = saved_theme()

    def _open(self, kind: type[MainScreen]) -> MainScreen:
        # Created when first shown, and kept: the log is updated while another screen is shown.
        screen = kind(self.session)
        self._opened.append(screen)
        return screen

    def on_mount(self) -> None:
        # The log is opened, too: it has the calls from now on, and the stream, whose ticks all screens need.
        self.switch_mode(LogsScreen.TAB.name)
        self.switch_mode(self.FIRST.TAB.name)
        self._load_gateway_info()
        self.run_worker(self._figures.run(), group="figures")
        self.run_worker(self.keyboard.run(), group="keyboard")

    async def on_unmount(self) -> None:
        await self.session.client.close()

    @on(Connected)
    def _connected(self) -> None:
        self.session.connection, self.session.connection_error = LIVE, ""
        self._show_connection()
        self._load_gateway_info()

    @on(Disconnected)
    def _disconnected(self, message: Disconnected) -> None:
        self.session.connection, self.session.connection_error = OFFLINE, f"{message.error} Trying again."
        self._figures.disconnected()
        self._show_connection()

    @on(EventsReceived)
    def _received(self, message: EventsReceived) -> None:
        self._figures.received(message.events)

    def _refresh_header(self) -> None:
        # Dialogs have none; under them it is seen by its clock's next second. While the application ends,
        # there is no screen.
        for screen in self.screen_stack[-1:]:
            for header in screen.query(Header):
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
            self._figures.connected()
        self._show_connection()

    @on(ShowCalls)
    def _show_calls(self, message: ShowCalls) -> None:
        # From the log itself there is no screen to go back to.
        back_to = None if self.current_mode == LogsScreen.TAB.name else self.current_mode
        self.switch_mode(LogsScreen.TAB.name)
        for screen in self._opened:
            if isinstance(screen, LogsScreen):
                screen.show_calls(message.filter, back_to)

    @on(ShowKeys)
    def _show_keys(self, message: ShowKeys) -> None:
        back_to = self.current_mode
        self.switch_mode(KeysScreen.TAB.name)
        for screen in self._opened:
            if isinstance(screen, KeysScreen):
                screen.show_keys(message.text, back_to)

    @on(ShowKey)
    def _show_key(self, message: ShowKey) -> None:
        back_to = self.current_mode
        self.switch_mode(KeysScreen.TAB.name)
        for screen in self._opened:
            if isinstance(screen, KeysScreen):
                screen.show_key(message, back_to)

    def action_help(self) -> None:
        title = self.screen.TAB.title if isinstance(self.screen, MainScreen) else "this view"
        self.push_screen(HelpScreen(title, active_bindings(self.screen)))

    def action_quote(self) -> None:
        self.push_screen(QuoteDialog(self.session.client))

    async def action_back_or_quit(self) -> None:
        # Of a detail only the detail is left.
        if len(self.screen_stack) > 1:
            await self.go_back()
        else:
            await self.action_quit()

    async def action_palette(self) -> None:
        # A dialog is answered first.
        if not isinstance(self.screen, ModalScreen):
            palette = Palette(recent_first(self._commands(), self._recent))
            # Until it is open, so that it gets what is typed right after the key.
            await self.push_screen(palette, self._run)

    def _run(self, command: Command | None) -> None:
        if command:
            older = [identity for identity in self._recent if identity != command.identity]
            self._recent = [command.identity, *older]
            command.run()

    def _commands(self) -> list[Command]:
        """All actions, the more used ones first."""
        active = active_bindings(self.screen)
        # Moving in a list is done by its keys only.
        here = [*(binding for binding in active[Scope.LIST] if binding.show), *active[Scope.SCREEN]]
        tabs = [screen.TAB.key for screen in MAIN_SCREENS]
        general = [binding for binding in active[Scope.EVERYWHERE] if binding.key not in tabs]
        return [
            *self._pressed(binding for binding in here if binding.key != "escape"),
            *(self._going(kind) for kind in MAIN_SCREENS),
            *(command for kind in MAIN_SCREENS for command in self._elsewhere(kind)),
            *(
                Command(f"colours {name}", f"Colours: {name}, {what}", "", partial(self._choose_theme, name))
                for name, what in MEANINGS.items()
            ),
            *self._pressed(general),
        ]

    def _pressed(self, bindings: Iterable[Binding]) -> list[Command]:
        """Commands that press a key of the bindings."""
        return [
            Command(
                f"{self.current_mode} {keys[-1]}",
                name,
                " ".join(map(key_label, keys)),
                partial(self.simulate_key, keys[-1]),
            )
            for name, keys in keys_by_name(bindings).items()
        ]

    def _going(self, kind: type[MainScreen]) -> Command:
        tab = kind.TAB
        return Command(f"go {tab.name}", f"Go to {tab.title}", tab.key, partial(self.switch_mode, tab.name))

    def _elsewhere(self, kind: type[MainScreen]) -> list[Command]:
        """What works on another main screen."""
        if self.current_mode == kind.TAB.name:
            return []
        bindings = [item for item in kind.BINDINGS if isinstance(item, Binding) and item.key != "escape"]
        return [
            Command(
                f"{kind.TAB.name} {keys[-1]}",
                f"{kind.TAB.title}: {name[:1].lower()}{name[1:]}",
                f"{kind.TAB.key} {' '.join(map(key_label, keys))}",
                partial(self._press_on, kind, keys[-1]),
            )
            for name, keys in keys_by_name(bindings).items()
        ]

    @work
    async def _press_on(self, kind: type[MainScreen], key: str) -> None:
        """Goes to a main screen and presses a key there."""
        await self.switch_mode(kind.TAB.name)
        self.simulate_key(key)

    def _choose_theme(self, name: str) -> None:
        self.theme = name
        try:
            save_theme(name)
        except (OSError, RuntimeError) as error:
            told = f"✗ The colours are not kept for the next time: {theme_file()} cannot be written ({error})"
            self.screen.query_one(Footer).show_status(told, TextRole.ERROR)


def run(url: str, key: str | None = None) -> None:
    """Runs the application until the user quits. Raises BadRequest where `url` is not an address."""
    GatekeeperApp(url, key).run()
