"""Keys: who may do what, how much of its budget each has used; makes, blocks and deletes them."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import ClassVar

from textual import on, work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.content import Content
from textual.widgets import Static

from gatekeeper.client import formats
from gatekeeper.client.api_errors import ApiError
from gatekeeper.client.api_types import Key, Keys
from gatekeeper.client.formats import Tone
from gatekeeper.client.list_columns import key_columns, stored_only
from tui.screens.dialog import Confirm, TypeToConfirm
from tui.screens.main_screen import EmptyState, TableScreen
from tui.screens.new_key import NewKeyDialog, SecretDialog
from tui.session import Session, Tab
from tui.terminal import told
from tui.widgets.filter_line import FilterLine, ShowCalls, term
from tui.widgets.rows import Rows, Table

# The most that the API gives at once.
PAGE = 1000


class KeysScreen(TableScreen):
    """Reads the keys anew after each change, too."""

    TAB = Tab("4", "keys", "Keys", "Keys")
    HINT = "text in alias, tags, user or group"
    AGAIN_SECONDS = 10
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("n", "new", "new"),
        Binding("b", "block", "block"),
        Binding("d", "delete", "delete"),
        Binding("y", "copy_id", "copy id"),
        Binding("escape", "clear", "clear the filter", show=False),
    ]
    DEFAULT_CSS = """
    KeysScreen.-empty Table { display: none; }
    KeysScreen #stored { height: auto; padding: 0 1; color: $warning; display: none; }
    KeysScreen #stored.-told { display: block; }
    """

    def __init__(self, session: Session) -> None:
        super().__init__(session)
        self.table: Table[Key] = Table(lambda key: key.token_id)
        self._q = ""
        self._loaded = False

    def body(self) -> ComposeResult:
        yield EmptyState()
        yield self.table
        yield Static(id="stored")

    @property
    def rows(self) -> Rows:
        return self.table

    @property
    def is_loaded(self) -> bool:
        return self._loaded

    def on_mount(self) -> None:
        self._tell(Content.styled("◌ reading the keys…", "$secondary"))

    def reload(self) -> None:
        self.load(self._q)

    @work(exclusive=True, group="load")
    async def load(self, q: str) -> None:
        """Shows the keys that a text is found in; what was shown stays if they cannot be read."""
        try:
            page = (await self.session.client.keys(q=q or None, limit=PAGE)).value
        except ApiError as error:
            self.not_read(error)
        else:
            self._show(q, page)

    def _show(self, q: str, page: Keys) -> None:
        self._q, self._loaded = q, True
        self.filter_line.settle(q)
        self.table.show(page.keys, lambda width: key_columns(width, self.session.clock))
        stored = stored_only(page.keys)
        line = self.query_one("#stored", Static)
        line.update(told(f"( ) {stored}", Tone.LIMIT))
        line.set_class(bool(stored), "-told")
        more = "first " if page.next_cursor else ""
        self.filter_line.find(more + formats.counted(len(page.keys), "key"))
        found = "No key has this text in its alias, tags, user or group.\n\nesc clears the filter"
        none = Content.assemble("No keys yet.\n\n", ("n", "bold $accent"), " makes one")
        self._tell(Content(found) if q else none)

    def _tell(self, otherwise: Content) -> None:
        self.show_empty(self.table.row_count() == 0, otherwise)

    def action_clear(self) -> None:
        if self._q:
            self.load("")

    @on(FilterLine.Applied)
    def _filter(self, message: FilterLine.Applied) -> None:
        self.table.focus()
        self.load(message.text)

    @on(Table.Opened)
    def _open(self) -> None:
        if key := self.table.selected:
            self.post_message(ShowCalls(term("key", key.label)))

    def action_copy_id(self) -> None:
        if key := self._chosen():
            self.copy(key.token_id, f"id of {key.label}")

    def _chosen(self) -> Key | None:
        key = self.table.selected
        if key is None:
            self.say("There is no key under the cursor.", Tone.LIMIT)
        return key

    @work
    async def action_new(self) -> None:
        key = await self.app.push_screen_wait(NewKeyDialog(self.session.client))
        if key:
            self.reload()
            await self.app.push_screen_wait(SecretDialog(key))

    @work
    async def action_block(self) -> None:
        if key := self._chosen():
            client = self.session.client
            if key.blocked:
                asked = Confirm(f"Unblock {key.label}?", "Its calls are taken again at once.")
            else:
                asked = Confirm(
                    f"Block {key.label}?", "Its calls are refused at once, until it is unblocked."
                )
            if await self.app.push_screen_wait(asked):
                change = client.key_unblock if key.blocked else client.key_block
                await self._do(change(key.token_id), f"{key.label} is {'un' if key.blocked else ''}blocked")

    @work
    async def action_delete(self) -> None:
        if key := self._chosen():
            lost = "Its calls are refused from then on, for good. What it did stays in the ledger."
            if await self.app.push_screen_wait(TypeToConfirm(f"Delete {key.label}?", lost, key.label)):
                await self._do(self.session.client.key_delete(key.token_id), f"{key.label} is deleted")

    async def _do(self, change: Awaitable[object], done: str) -> None:
        try:
            await change
        except ApiError as error:
            self.fault(error)
        else:
            self.say(f"✓ {done}")
        # After an error, too: a change whose answer was lost has been made.
        self.reload()
