"""The Keys screen: virtual keys with used budgets, the actions on one, and its details."""

from __future__ import annotations

from collections.abc import Awaitable, Sequence
from typing import ClassVar

from textual import on, work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.content import Content

from gatekeeper.client import formats
from gatekeeper.client.api_errors import ApiError
from gatekeeper.client.api_types import GoogleKey
from gatekeeper.client.columns import TextRole
from gatekeeper.client.key_types import Key
from tui.screens.call_screen import CallScreen
from tui.screens.key_dialogs import KeyDetails, has_old_secret
from tui.screens.key_views import KEYS, ORDERS, PAGE, VIEWS, KeyList, KeyView
from tui.screens.screen import EmptyState, TableScreen
from tui.session import Session, Tab
from tui.widgets.filter_line import FilterLine, ShowCalls, ShowKey, term
from tui.widgets.key_preview import KeyPreview
from tui.widgets.rows import Rows, Table

# The size from which the screen shows more of the selected key.
ROOMY_WIDTH, ROOMY_HEIGHT = 120, 40


def google_key_states(keys: Sequence[GoogleKey]) -> str:
    """The states of the Google keys; with several of them, the ones with a problem by name."""
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
        Binding("i", "details", "info", tooltip="show all that is known of the key"),
        Binding("d", "change('delete')", "delete", tooltip="delete the key for good"),
        Binding("s", "sort", "sort", tooltip="sort by used budget, spend, last use or name"),
        Binding("v", "view", "groups", tooltip="show keys, groups of keys, or end users"),
        Binding(
            "x", "change('end_grace')", "end grace", tooltip="refuse the key's old secret before its time"
        ),
        Binding("y", "copy_id", "copy id", tooltip="copy the key's id"),
        Binding(
            "tab", "last_calls", "last calls", False, tooltip="go to the last calls of the key, and back"
        ),
        Binding("escape", "clear", "clear the filter", show=False),
    ]

    def __init__(self, session: Session) -> None:
        super().__init__(session)
        self.table: Table[Key] = Table(lambda key: key.token_id or key.label, "keys")
        self.preview = KeyPreview(session)
        self._shown = KeyList()
        self._view = KEYS
        # The view and the text that were asked for last, and may not be shown yet.
        self._asked: tuple[KeyView, str] = (KEYS, "")
        self._order = ORDERS[0]
        self._wanted = 0
        self._back_to: str | None = None
        self._loaded = False
        self._google_keys = ""
        self._jump: ShowKey | None = None

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
        self.load(*self._asked, len(self._shown.keys))

    def on_resize(self) -> None:
        self._place_preview()
        # Once it has its size.
        self.call_after_refresh(self._show_preview)

    def show_empty(self, empty: bool, otherwise: Content) -> None:
        super().show_empty(empty, otherwise)
        self._place_preview()

    def _place_preview(self) -> None:
        """Below the keys, if there are any, and room for it."""
        size = self.size
        roomy = size.width >= ROOMY_WIDTH and size.height >= ROOMY_HEIGHT
        self.preview.display = roomy and self.table.display and self._view is KEYS

    def _show_preview(self) -> None:
        self.preview.show(self.table.selected if self._view is KEYS else None)

    def _moved(self) -> None:
        self.refresh_bindings()
        self._show_preview()
        self._load_more()

    def _load_more(self) -> None:
        """Loads the next page before its place is scrolled to."""
        count = len(self._shown.keys)
        seen = max(self.table.cursor, self.table.top + self.table.page)
        if self._shown.more and seen + PAGE // 2 > count >= self._wanted:
            self.load(self._view, self._shown.q, count + PAGE)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """What there is nothing for: an old secret, room for the last calls, a secret of a group."""
        if action == "last_calls":
            return self.preview.display
        if parameters == ("end_grace",):
            key = self.table.selected
            return self._view is KEYS and key is not None and has_old_secret(key, self.session.clock())
        if action == "change":
            return parameters[0] in self._view.actions
        if action == "sort":
            return len(self._view.orders) > 1
        return super().check_action(action, parameters)

    def show_keys(self, q: str, back_to: str) -> None:
        """Shows the keys that contain a text; esc goes back to the screen `back_to`."""
        self._asked, self._back_to = (KEYS, q), back_to
        self.reload()

    def show_key(self, wanted: ShowKey, back_to: str) -> None:
        """The same for one key, which is looked for by its alias."""
        self._jump = wanted
        self.show_keys(wanted.alias, back_to)

    @work(exclusive=True, group="load")
    async def load(self, view: KeyView, q: str, wanted: int = PAGE) -> None:
        """Shows those of a view that contain a text; if they cannot be loaded, the shown ones stay."""
        self._asked, self._wanted = (view, q), wanted
        order = self._order if self._order in view.orders else view.orders[0]
        try:
            found = await view.load(self.session.client, q, order, wanted)
        except ApiError as error:
            self._asked, self._wanted = (self._view, self._shown.q), 0
            self.show_load_error(error)
        else:
            self._google_keys = await self._google_key_states() if view is KEYS else ""
            self._show(view, found)

    async def _google_key_states(self) -> str:
        """How the gateway's own keys are; empty if that cannot be known."""
        try:
            return google_key_states((await self.session.client.readiness()).value.google_keys)
        except ApiError:
            return ""

    def _show(self, view: KeyView, found: KeyList) -> None:
        from_first = found.order != self._shown.order
        self._view, self._shown, self._loaded = view, found, True
        self.filter_line.set_applied(found.q)
        self.filter_line.input.placeholder = view.hint
        self.table.show(found.keys, lambda width: view.columns(width, self.session.clock))
        if from_first:
            self.table.cursor = 0
        if self._jump and self._jump.alias == found.q:
            self._arrive(self._jump)
        self._show_found()
        text = f"No {view.noun} has this text.\n\nesc clears the filter"
        none = Content.assemble(f"No {view.noun}s yet.\n\n", ("n", "bold $accent"), f" {view.first}")
        self._show_empty_text(Content(text) if found.q else none)
        self.refresh_bindings()
        self.call_after_refresh(self._show_preview)

    def _arrive(self, wanted: ShowKey) -> None:
        self._jump = None
        self.table.select(wanted.token_id)
        self.table.focus()
        if self.table.selected_identity != wanted.token_id:
            self.show_status(
                f"The key {wanted.alias or wanted.token_id} does not exist any more.", TextRole.WARNING
            )

    def _show_found(self) -> None:
        """How many there are by which order; that there are further ones."""
        found = self._shown
        count = formats.pluralized(len(found.keys), self._view.noun)
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
        if self._shown.q or self._view is not KEYS:
            # First the text, then back from groups and end users.
            self.load(self._view if self._shown.q else KEYS, "")
        if back_to:
            await self.app.run_action(f"app.switch_mode('{back_to}')")

    def action_view(self) -> None:
        """Keys, groups and end users in turn."""
        view, _ = self._asked
        self.load(VIEWS[(VIEWS.index(view) + 1) % len(VIEWS)], "")

    def action_last_calls(self) -> None:
        """To the last calls of the selected key, and back."""
        self.set_focus(self.table if self.preview.calls.has_focus else self.preview.calls)

    def action_sort(self) -> None:
        """The next order, from its first key."""
        self._order = ORDERS[(ORDERS.index(self._order) + 1) % len(ORDERS)]
        self.load(*self._asked)

    @on(FilterLine.Applied)
    def _filter(self, message: FilterLine.Applied) -> None:
        self.table.focus()
        view, _ = self._asked
        self.load(view, message.text)

    @on(Table.RowActivated, "#last-calls")
    def _open_call(self) -> None:
        if call := self.preview.calls.selected:
            self.app.push_screen(CallScreen(self.session, call.id))

    @on(Table.RowActivated, "#keys")
    def _open(self) -> None:
        """Shows its calls; of a group, the keys that name it."""
        if not (key := self.table.selected):
            return
        if self._view.kind == "group":
            self.load(KEYS, key.label)
        else:
            self.post_message(ShowCalls(term(self._view.kind or "key", key.label)))

    def action_details(self) -> None:
        if key := self._selected_or_warn():
            self.app.push_screen(KeyDetails(key, self.session.clock()))

    def action_copy_id(self) -> None:
        if key := self._selected_or_warn():
            what = f"id of {key.label}" if key.token_id else f"{self._view.noun} {key.label}"
            self.copy(key.token_id or key.label, what)

    def _selected_or_warn(self) -> Key | None:
        key = self.table.selected
        if key is None:
            self.show_status(f"There is no {self._view.noun} under the cursor.", TextRole.WARNING)
        return key

    @work
    async def action_new(self) -> None:
        await self._finish(self._view.create(self.app, self.session))

    @work
    async def action_change(self, name: str) -> None:
        if key := self._selected_or_warn():
            await self._finish(self._view.actions[name](self.app, self.session, key))

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
