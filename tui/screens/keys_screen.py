"""The Keys screen: virtual keys with used budgets, and all of one; creates, blocks and deletes keys."""

from __future__ import annotations

from collections.abc import Awaitable, Sequence
from typing import ClassVar

from textual import on, work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.content import Content

from gatekeeper.client import formats
from gatekeeper.client.api_errors import ApiError
from gatekeeper.client.api_types import GoogleKey, Key, Keys
from gatekeeper.client.formats import TextRole
from gatekeeper.client.list_columns import key_columns
from tui.screens.dialog import Confirm, TypeToConfirm
from tui.screens.key_details import KeyDetails
from tui.screens.main_screen import EmptyState, TableScreen
from tui.screens.new_key import NewKeyDialog, SecretDialog
from tui.session import Session, Tab
from tui.widgets.filter_line import FilterLine, ShowCalls, term
from tui.widgets.rows import Rows, Table

# The API's largest page.
PAGE_SIZE = 1000


def google_key_states(keys: Sequence[GoogleKey]) -> str:
    """Of several Google keys, those that are not well by name."""
    if len(keys) < 2:
        return ""
    unwell = ", ".join(f"{key.label} {key.state}" for key in keys if key.state not in ("ok", "full"))
    return f" · {len(keys)} Google keys" + (f": {unwell}" if unwell else "")


class KeysScreen(TableScreen):
    """Also reloads the keys after each change."""

    TAB = Tab("4", "keys", "Keys", "Keys")
    HINT = "text in alias, tags, user or group"
    RELOAD_SECONDS = 10
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("i", "details", "details"),
        Binding("n", "new", "new"),
        Binding("b", "block", "block"),
        Binding("d", "delete", "delete"),
        Binding("y", "copy_id", "copy id"),
        Binding("escape", "clear", "clear the filter", show=False),
    ]
    DEFAULT_CSS = """
    KeysScreen.-empty Table { display: none; }
    """

    def __init__(self, session: Session) -> None:
        super().__init__(session)
        self.table: Table[Key] = Table(lambda key: key.token_id)
        self._q = ""
        self._loaded = False

    def body(self) -> ComposeResult:
        yield EmptyState()
        yield self.table

    @property
    def rows(self) -> Rows:
        return self.table

    @property
    def is_loaded(self) -> bool:
        return self._loaded

    def on_mount(self) -> None:
        self._show_empty_text(Content.styled("◌ loading the keys…", "$secondary"))

    def reload(self) -> None:
        self.load(self._q)

    @work(exclusive=True, group="load")
    async def load(self, q: str) -> None:
        """Shows the keys that contain a text; if they cannot be loaded, the shown ones stay."""
        try:
            page = (await self.session.client.keys(q=q or None, limit=PAGE_SIZE)).value
        except ApiError as error:
            self.show_load_error(error)
        else:
            self._show(q, page, await self._google_keys())

    async def _google_keys(self) -> str:
        """How the gateway's own keys are; empty if that cannot be known."""
        try:
            return google_key_states((await self.session.client.readiness()).value.google_keys)
        except ApiError:
            return ""

    def _show(self, q: str, page: Keys, google_keys: str) -> None:
        self._q, self._loaded = q, True
        self.filter_line.set_applied(q)
        self.table.show(page.keys, lambda width: key_columns(width, self.session.clock))
        more = "first " if page.next_cursor else ""
        self.filter_line.show_found(more + formats.pluralized(len(page.keys), "key") + google_keys)
        found = "No key has this text in its alias, tags, user or group.\n\nesc clears the filter"
        none = Content.assemble("No keys yet.\n\n", ("n", "bold $accent"), " creates one")
        self._show_empty_text(Content(found) if q else none)

    def _show_empty_text(self, otherwise: Content) -> None:
        self.show_empty(self.table.row_count() == 0, otherwise)

    def action_clear(self) -> None:
        if self._q:
            self.load("")

    @on(FilterLine.Applied)
    def _filter(self, message: FilterLine.Applied) -> None:
        self.table.focus()
        self.load(message.text)

    @on(Table.RowActivated)
    def _open(self) -> None:
        if key := self.table.selected:
            self.post_message(ShowCalls(term("key", key.label)))

    def action_details(self) -> None:
        if key := self._selected_or_warn():
            self.app.push_screen(KeyDetails(key, self.session.clock()))

    def action_copy_id(self) -> None:
        if key := self._selected_or_warn():
            self.copy(key.token_id, f"id of {key.label}")

    def _selected_or_warn(self) -> Key | None:
        key = self.table.selected
        if key is None:
            self.show_status("There is no key under the cursor.", TextRole.WARNING)
        return key

    @work
    async def action_new(self) -> None:
        key = await self.app.push_screen_wait(NewKeyDialog(self.session.client))
        if key:
            self.reload()
            await self.app.push_screen_wait(SecretDialog(key))

    @work
    async def action_block(self) -> None:
        if key := self._selected_or_warn():
            client = self.session.client
            if key.blocked:
                asked = Confirm(f"Unblock {key.label}?", "Its calls are accepted again at once.")
            else:
                asked = Confirm(
                    f"Block {key.label}?", "Its calls are refused at once, until it is unblocked."
                )
            if await self.app.push_screen_wait(asked):
                change = client.key_unblock if key.blocked else client.key_block
                await self._apply_change(
                    change(key.token_id), f"{key.label} is {'un' if key.blocked else ''}blocked"
                )

    @work
    async def action_delete(self) -> None:
        if key := self._selected_or_warn():
            lost = "Its calls are refused from then on, for good. What it did stays in the ledger."
            if await self.app.push_screen_wait(TypeToConfirm(f"Delete {key.label}?", lost, key.label)):
                await self._apply_change(
                    self.session.client.key_delete(key.token_id), f"{key.label} is deleted"
                )

    async def _apply_change(self, change: Awaitable[object], done: str) -> None:
        try:
            await change
        except ApiError as error:
            self.show_error(error)
        else:
            self.show_status(f"✓ {done}")
        # Also after an error: the change may have been made although its response was lost.
        self.reload()
