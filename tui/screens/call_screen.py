"""The detail screen of one call, with links to the next and previous calls, its key, and similar calls."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

import msgspec
from textual import work
from textual.binding import Binding, BindingType
from textual.content import Content

from gatekeeper.client.api_errors import ApiError, Unreachable
from gatekeeper.client.call_text import call_text
from gatekeeper.client.call_types import CallDetail
from gatekeeper.client.columns import TextRole
from gatekeeper.client.curl_text import curl_command
from tui.screens.quote_dialog import QuoteDialog, texts_of
from tui.screens.screen import DetailScreen
from tui.session import Session
from tui.terminal import lines, styled_text
from tui.widgets.filter_line import ShowCalls, ShowKey, similar_calls_filter

RELOAD_SECONDS = 1.0
# Ids of calls that were made without a virtual key.
NO_KEY = {"open": "in open mode, without a virtual key", "master": "with the master key"}

Step = Callable[[int], str | None]
"""Moves the list's cursor by 1 or -1 and returns the id of the call there; None at the end."""


class CallScreen(DetailScreen):
    """Loads the call when opened, and every second while it is in flight or the gateway cannot be reached."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("k", "key", "its key"),
        Binding("n", "step(1)", "next"),
        Binding("p", "step(-1)", "previous"),
        Binding("u", "usage", "raw usage"),
        Binding("c", "curl", "copy as curl"),
        Binding("m", "similar", "more like this"),
        Binding("y", "copy_id", "copy id"),
        Binding("w", "quote", "quote", tooltip="what would it cost with other numbers?"),
    ]

    def __init__(self, session: Session, id: str, step: Step | None = None) -> None:  # noqa: A002 - the API's name
        """`step` is what `n` and `p` do, if they do anything."""
        super().__init__()
        self._session = session
        self._call_id = id
        self._step = step
        self._call: CallDetail | None = None
        self._raw = False

    def first_text(self) -> Content:
        return Content.styled("◌ loading the call…", "$secondary")

    def on_mount(self) -> None:
        self._read()

    @work(exclusive=True)
    async def _read(self) -> None:
        try:
            self._call = (await self._session.client.call(self._call_id)).value
        except ApiError as error:
            self._show_error(error)
            if isinstance(error, Unreachable) or self._in_flight:
                self._read_later()
            return
        self._update_text(self._call)
        # A finished call does not change any more.
        if self._in_flight:
            self._read_later()

    @property
    def _in_flight(self) -> bool:
        return self._call is not None and self._call.outcome is None

    def _read_later(self) -> None:
        shown = self._call_id
        self.set_timer(RELOAD_SECONDS, lambda: self._read() if self._call_id == shown else None)

    def _show_error(self, error: ApiError) -> None:
        if self._call:
            self.show_status(f"✗ {error}", TextRole.ERROR)
        else:
            self.show_text(styled_text(f"✗ {error}", TextRole.ERROR))

    def _update_text(self, call: CallDetail) -> None:
        # Without the padding on both sides.
        width = max(self.size.width - 2, 1)
        text = lines(call_text(call, width, self._session.clock()))
        if self._raw:
            text = Content("\n").join(
                [text, Content.styled("usage as Google sent it", "dim"), raw_usage(call)]
            )
        self.show_text(text)

    def on_resize(self) -> None:
        if self._call:
            self._update_text(self._call)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:  # noqa: ARG002
        """There is not always a next call."""
        return action != "step" or self._step is not None

    def action_step(self, by: int) -> None:
        call_id = self._step(by) if self._step else None
        if call_id is None:
            self.show_status(
                "There is no later call." if by > 0 else "There is no earlier call.", TextRole.WARNING
            )
            return
        self._call_id, self._call = call_id, None
        self.action_scroll_home()
        self._read()

    def action_usage(self) -> None:
        self._raw = not self._raw
        self.on_resize()
        if self._raw:
            self.action_scroll_end()

    def action_key(self) -> None:
        if not self._call or not (key := self._call.key_id):
            self.show_status("It is not known which key made this call.", TextRole.WARNING)
        elif key in NO_KEY:
            self.show_status(f"The call was made {NO_KEY[key]}.", TextRole.WARNING)
        else:
            self.post_message(ShowKey(key, self._call.key_alias or ""))
            self.dismiss()

    def action_quote(self) -> None:
        if self._call:
            self.app.push_screen(QuoteDialog(self._session.client, texts_of(self._call)))

    @work
    async def action_copy_id(self) -> None:
        self.show_status(f"✓ id {await self.app.copy(self._call_id)}")

    @work
    async def action_curl(self) -> None:
        if not self._call:
            return
        command = curl_command(self._call, self._session.client.url)
        if command is None:
            self.show_status(
                "curl cannot repeat this call: it was a Live session or an upload.", TextRole.WARNING
            )
        else:
            told = await self.app.copy(command)
            self.show_status(f"✓ a curl command, with $GATEKEEPER_KEY for the key, {told}")

    def action_similar(self) -> None:
        if self._call:
            self.post_message(ShowCalls(similar_calls_filter(self._call)))
            self.dismiss()


def raw_usage(call: CallDetail) -> Content:
    """The usage as indented JSON."""
    if call.usage is None:
        return Content("none")
    return Content(msgspec.json.format(msgspec.json.encode(call.usage), indent=2).decode())
