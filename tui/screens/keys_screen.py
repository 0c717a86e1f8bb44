"""The Keys screen: virtual keys with used budgets, what can be done with one, and all that is known of it."""

from __future__ import annotations

from collections.abc import Awaitable, Sequence
from dataclasses import replace
from typing import ClassVar

from textual import on, work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.content import Content

from gatekeeper.client import formats
from gatekeeper.client.api_errors import ApiError
from gatekeeper.client.api_types import GoogleKey, Key
from gatekeeper.client.formats import TextRole
from gatekeeper.client.list_columns import key_columns
from tui.key_list import ORDERS, PAGE, KeyList, load_keys
from tui.screens.call_screen import CallScreen
from tui.screens.key_actions import KEY_ACTIONS, new_key
from tui.screens.key_details import KeyDetails
from tui.screens.main_screen import EmptyState, TableScreen
from tui.screens.rotate_dialog import has_old_secret
from tui.session import Session, Tab
from tui.widgets.filter_line import FilterLine, ShowCalls, term
from tui.widgets.key_preview import KeyPreview
from tui.widgets.rows import Rows, Table

# The size from which the screen shows more of the selected key.
ROOMY_WIDTH, ROOMY_HEIGHT = 120, 40


def google_key_states(keys: Sequence[GoogleKey]) -> str:
    """Of several Google keys, those that are not well by name."""
    if len(keys) < 2:
        return ""
    unwell = ", ".join(f"{key.label} {key.state}" for key in keys if key.state not in ("ok", "full"))
    return f" · {len(keys)} Google keys" + (f": {unwell}" if unwell else "")


class KeysScreen(TableScreen):
    """Also reloads the keys after each change. Further pages are loaded as they are scrolled to."""

    TAB = Tab("4", "keys", "Keys", "Keys")
    HINT = "text in alias, tags, user or group"
    RELOAD_SECONDS = 10
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("e", "change('edit')", "edit", tooltip="change the key's limits, budget, tags, role …"),
        Binding("n", "new", "new", tooltip="create a key"),
        Binding("b", "change('block')", "block", tooltip="block the key, or unblock it"),
        Binding("r", "change('rotate')", "rotate", tooltip="give the key a new secret"),
        Binding("i", "details", "details", tooltip="show all that is known of the key"),
        Binding("s", "sort", "sort", tooltip="sort by used budget, spend, last use or name"),
        Binding("d", "change('delete')", "delete", tooltip="delete the key for good"),
        Binding(
            "x", "change('end_grace')", "end grace", tooltip="refuse the key's old secret before its time"
        ),
        Binding("y", "copy_id", "copy id", tooltip="copy the key's id"),
        Binding(
            "tab", "last_calls", "last calls", False, tooltip="go to the last calls of the key, and back"
        ),
        Binding("escape", "clear", "clear the filter", show=False),
    ]
    DEFAULT_CSS = """
    KeysScreen.-empty #keys { display: none; }
    KeysScreen.-roomy KeyPreview { display: block; }
    KeysScreen.-empty KeyPreview { display: none; }
    """

    def __init__(self, session: Session) -> None:
        super().__init__(session)
        self.table: Table[Key] = Table(lambda key: key.token_id, "keys")
        self.preview = KeyPreview(session)
        self._shown = KeyList()
        self._order = ORDERS[0]
        self._wanted = 0
        self._back_to: str | None = None
        self._loaded = False
        self._google_keys = ""

    def body(self) -> ComposeResult:
        yield EmptyState()
        yield self.table
        yield self.preview

    @property
    def rows(self) -> Rows:
        return self.table

    @property
    def is_loaded(self) -> bool:
        return self._loaded

    def on_mount(self) -> None:
        self._show_empty_text(Content.styled("◌ loading the keys…", "$secondary"))
        self.watch(self.table, "cursor", self._moved, init=False)
        self.watch(self.table, "scroll_y", self._load_more, init=False)

    def reload(self) -> None:
        self.load(self._shown.q, len(self._shown.keys))

    def on_resize(self) -> None:
        size = self.size
        self.set_class(size.width >= ROOMY_WIDTH and size.height >= ROOMY_HEIGHT, "-roomy")
        # Once it has its size.
        self.call_after_refresh(self._show_preview)

    def _show_preview(self) -> None:
        self.preview.show(self.table.selected)

    def _moved(self) -> None:
        self.refresh_bindings()
        self._show_preview()
        self._load_more()

    def _load_more(self) -> None:
        """Loads the next page before its place is scrolled to."""
        count = len(self._shown.keys)
        seen = max(self.table.cursor, self.table.top + self.table.page)
        if self._shown.more and seen + PAGE // 2 > count >= self._wanted:
            self.load(self._shown.q, count + PAGE)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """There is not always an old secret, nor room for the last calls."""
        if action == "last_calls":
            return self.preview.display
        if parameters == ("end_grace",):
            key = self.table.selected
            return key is not None and has_old_secret(key, self.session.clock())
        return super().check_action(action, parameters)

    def show_keys(self, q: str, back_to: str) -> None:
        """Shows the keys that contain a text; esc goes back to the screen `back_to`."""
        self._shown, self._back_to = replace(self._shown, q=q), back_to
        self.reload()

    @work(exclusive=True, group="load")
    async def load(self, q: str, wanted: int = PAGE) -> None:
        """Shows the keys that contain a text; if they cannot be loaded, the shown ones stay."""
        self._wanted = wanted
        try:
            found = await load_keys(self.session.client, q, self._order, wanted)
        except ApiError as error:
            self._wanted = 0
            self.show_load_error(error)
        else:
            self._google_keys = await self._google_key_states()
            self._show(found)

    async def _google_key_states(self) -> str:
        """How the gateway's own keys are; empty if that cannot be known."""
        try:
            return google_key_states((await self.session.client.readiness()).value.google_keys)
        except ApiError:
            return ""

    def _show(self, found: KeyList) -> None:
        sorted_anew = found.order != self._shown.order
        self._shown, self._loaded = found, True
        self.filter_line.set_applied(found.q)
        self.table.show(found.keys, lambda width: key_columns(width, self.session.clock))
        if sorted_anew:
            self.table.cursor = 0
        self._show_found()
        text = "No key has this text in its alias, tags, user or group.\n\nesc clears the filter"
        none = Content.assemble("No keys yet.\n\n", ("n", "bold $accent"), " creates one")
        self._show_empty_text(Content(text) if found.q else none)
        self.call_after_refresh(self._show_preview)

    def _show_found(self) -> None:
        """How many keys by which order; that there are further ones."""
        found = self._shown
        count = formats.pluralized(len(found.keys), "key")
        more = f"first {count}, more below" if found.more else count
        order = f" by {found.order.name}" if found.keys else ""
        self.filter_line.show_found(f"{more}{order}{self._google_keys}")

    def _show_empty_text(self, otherwise: Content) -> None:
        self.show_empty(self.table.row_count() == 0, otherwise)

    async def action_clear(self) -> None:
        if self.preview.calls.has_focus:
            self.table.focus()
            return
        back_to, self._back_to = self._back_to, None
        if self._shown.q:
            self.load("")
        if back_to:
            await self.app.run_action(f"app.switch_mode('{back_to}')")

    def action_last_calls(self) -> None:
        """To the last calls of the selected key, and back."""
        self.set_focus(self.table if self.preview.calls.has_focus else self.preview.calls)

    def action_sort(self) -> None:
        """The next order, from its first key."""
        self._order = ORDERS[(ORDERS.index(self._order) + 1) % len(ORDERS)]
        self.load(self._shown.q)

    @on(FilterLine.Applied)
    def _filter(self, message: FilterLine.Applied) -> None:
        self.table.focus()
        self.load(message.text)

    @on(Table.RowActivated, "#last-calls")
    def _open_call(self) -> None:
        if call := self.preview.calls.selected:
            self.app.push_screen(CallScreen(self.session, call.id))

    @on(Table.RowActivated, "#keys")
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
        await self._finish(new_key(self.app, self.session))

    @work
    async def action_change(self, name: str) -> None:
        if key := self._selected_or_warn():
            await self._finish(KEY_ACTIONS[name](self.app, self.session, key))

    async def _finish(self, action: Awaitable[str | None]) -> None:
        try:
            done = await action
        except ApiError as error:
            self.show_error(error)
        else:
            if done is None:
                return
            self.show_status(f"✓ {done}")
        # Also after an error: the change may have been made although its response was lost.
        self.reload()
