"""The Audit screen: who changed what, from where, and from what to what; and the page of one change."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

import msgspec
from textual import on, work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.content import Content

from gatekeeper.client import formats
from gatekeeper.client.api_errors import ApiError, BadRequest
from gatekeeper.client.audit import AuditChange, AuditPage, changed_thing
from gatekeeper.client.columns import TextRole
from tui import export_file
from tui.audit import AuditFilterError, AuditRequest, audit_columns, entry_lines, parse_filter, problem_at
from tui.export_file import suggested_name
from tui.screens.export_dialogs import ExportDialog
from tui.screens.screen import DetailScreen, EmptyState, TableScreen
from tui.session import Session, Tab
from tui.terminal import lines
from tui.widgets.filter_line import FilterLine, ShowCalls, ShowKeys, term
from tui.widgets.rows import Rows, Table

# Entries that are loaded at once.
PAGE = 200
NOTHING = (
    "Nothing has been changed yet.\n\n"
    "Each change of keys, groups, users, Google keys and prices will be here:\n"
    "who made it, from where, and from what to what."
)


class AuditScreen(TableScreen):
    """Older pages are loaded as they are scrolled to; new entries come by themselves."""

    TAB = Tab("5", "audit", "Audit", "Audit")
    HINT = "action:create,update  key:NAME  by:ann  since:7d  until:TIME"
    RELOAD_SECONDS = 10
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("e", "export", "export", tooltip="write the changes that the filter shows to a file"),
        Binding("y", "copy", "copy", tooltip="copy the change as JSON"),
        Binding("o", "key", "its key", tooltip="show the changed key among the keys"),
        Binding("c", "calls", "its calls", tooltip="show the calls of the changed key"),
        Binding("escape", "clear", "clear the filter", show=False),
    ]

    def __init__(self, session: Session) -> None:
        super().__init__(session)
        self.table: Table[AuditChange] = Table(lambda change: change.id)
        self._request = AuditRequest()
        self._changes: Sequence[AuditChange] = ()
        self._older: str | None = None
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
        self._show_empty_text(Content.styled("◌ loading the changes…", "$secondary"))
        self.watch(self.table, "cursor", self._load_more, init=False)
        self.watch(self.table, "scroll_y", self._load_more, init=False)

    def reload(self) -> None:
        self.load(self._request)

    @work(exclusive=True, group="load")
    async def load(self, request: AuditRequest) -> None:
        """Shows the newest changes that match; if they cannot be loaded, the shown ones stay."""
        try:
            page = await self._page(request)
        except ApiError as error:
            self._show_load_error(request, error)
        else:
            self._add_newest(request, page)

    async def _page(self, request: AuditRequest, cursor: str | None = None) -> AuditPage:
        values = (request.action, request.key, request.by, request.since, request.until)
        return (await self.session.client.audit(*values, PAGE, cursor)).value

    def _show_load_error(self, request: AuditRequest, error: ApiError) -> None:
        if isinstance(error, BadRequest):
            self.filter_line.show_error(problem_at(request.text, error.problem), str(error))
        else:
            self.show_load_error(error)

    def _add_newest(self, request: AuditRequest, page: AuditPage) -> None:
        """Entries never change: what is older than the page stays, if there is no gap before it."""
        oldest = page.changes[-1].id if page.changes else 0
        older = [change for change in self._changes if change.id < oldest]
        meets = len(older) < len(self._changes)
        if request == self._request and meets and page.next_cursor:
            self._changes = (*page.changes, *older)
        else:
            self._changes, self._older = page.changes, page.next_cursor
        self._request, self._loaded = request, True
        self.filter_line.set_applied(request.text)
        self._show()

    def _load_more(self) -> None:
        """Loads the next page before its place is scrolled to."""
        seen = max(self.table.cursor, self.table.top + self.table.page)
        if self._older and seen + PAGE // 4 > len(self._changes):
            self._load_older(self._older)

    @work(exclusive=True, group="older")
    async def _load_older(self, cursor: str) -> None:
        # No second request until it has arrived.
        self._older = None
        request = self._request
        try:
            page = await self._page(request, cursor)
        except ApiError as error:
            self._older = cursor
            self.show_error(error)
            return
        if request == self._request:
            self._changes, self._older = (*self._changes, *page.changes), page.next_cursor
            self._show()

    def _show(self) -> None:
        self.table.show(self._changes, lambda width: audit_columns(width, self.session.clock))
        more = "newest " if self._older else ""
        self.filter_line.show_found(more + formats.pluralized(len(self._changes), "change"))
        nothing = "No change matches this filter.\n\nesc clears it" if self._request.text else NOTHING
        self._show_empty_text(Content(nothing))

    def _show_empty_text(self, otherwise: Content) -> None:
        self.show_empty(not self._changes, otherwise)

    @on(FilterLine.Applied)
    def _filter(self, message: FilterLine.Applied) -> None:
        try:
            request = parse_filter(message.text)
        except AuditFilterError as error:
            self.filter_line.show_error(error.problem, str(error))
        else:
            self.table.focus()
            self.load(request)

    def action_clear(self) -> None:
        if self._request.text:
            self.load(AuditRequest())

    @on(Table.RowActivated)
    def _open(self) -> None:
        if change := self.table.selected:
            self.app.push_screen(AuditEntry(self.session, change))

    def action_copy(self) -> None:
        if change := self._selected_or_warn():
            text = msgspec.json.format(msgspec.json.encode(change)).decode()
            self.copy(text, f"change {change.id}")

    def action_key(self) -> None:
        if change := self._key_or_warn():
            self.post_message(ShowKeys(changed_thing(change)))

    def action_calls(self) -> None:
        if change := self._key_or_warn():
            self.post_message(ShowCalls(term("key", change.token_id)))

    def _selected_or_warn(self) -> AuditChange | None:
        if self.table.selected is None:
            self.show_status("There is no change under the cursor.", TextRole.WARNING)
        return self.table.selected

    def _key_or_warn(self) -> AuditChange | None:
        change = self._selected_or_warn()
        if change and not change.token_id:
            self.show_status("This change is not of a key.", TextRole.WARNING)
            return None
        return change

    @work
    async def action_export(self) -> None:
        name = suggested_name("audit", self.session.clock(), "csv")
        path = await self.app.push_screen_wait(ExportDialog("changes", name))
        if path:
            await self._export(path)

    async def _export(self, path: Path) -> None:
        try:
            count = await export_file.export_changes(self.session.client, self._request, path)
        except ApiError as error:
            self.show_error(error)
        except FileExistsError:
            self.show_status(
                f"✗ {path} exists already and was not changed: choose another name", TextRole.ERROR
            )
        except OSError as error:
            self.show_status(f"✗ {path} cannot be written: {error.strerror}", TextRole.ERROR)
        else:
            counted = formats.pluralized(count, "change")
            self.show_status(f"✓ {counted} in {path}, readable by you only")


class AuditEntry(DetailScreen):
    """All of a change; it never changes, so nothing is loaded."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("y", "copy", "copy", tooltip="copy the change as JSON"),
        Binding("o", "key", "its key", tooltip="show the changed key among the keys"),
        Binding("c", "calls", "its calls", tooltip="show the calls of the changed key"),
        Binding("j", "scroll(1)", "down", show=False),
        Binding("k", "scroll(-1)", "up", show=False),
    ]

    def __init__(self, session: Session, change: AuditChange) -> None:
        super().__init__()
        self._session = session
        self._change = change

    def first_text(self) -> Content:
        return lines(entry_lines(self._change))

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:  # noqa: ARG002
        """Only a key can be shown, and has calls."""
        return action not in ("key", "calls") or self._change.token_id is not None

    @work
    async def action_copy(self) -> None:
        text = msgspec.json.format(msgspec.json.encode(self._change)).decode()
        copied = await self.app.copy(text)
        self.show_status(f"✓ change {self._change.id} {copied}")

    def action_key(self) -> None:
        self.post_message(ShowKeys(changed_thing(self._change)))
        self.dismiss()

    def action_calls(self) -> None:
        self.post_message(ShowCalls(term("key", self._change.token_id)))
        self.dismiss()
