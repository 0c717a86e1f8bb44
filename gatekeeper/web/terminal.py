"""One terminal of a browser: a process of the terminal application, and the WebSocket that it speaks through.

textual-serve starts the process, frames what goes in and out, and has the page's script. Its server is not
used: that asks nobody for a key, and logs local variables.
"""

from __future__ import annotations

import asyncio
import base64
import re
import shlex
import sys

import msgspec
from aiohttp import WSMsgType, web
from textual_serve.app_service import AppService
from textual_serve.download_manager import DownloadManager

# Variables of the process: the key is never an argument, which every user of the machine can read.
URL_VARIABLE, KEY_VARIABLE = "GATEKEEPER_URL", "GATEKEEPER_MASTER_KEY"
# Not passed on: the key of another, and the server's own terminal, whose buffer would get what is copied.
REMOVED = (KEY_VARIABLE, "LITELLM_MASTER_KEY", "TMUX")
# textual-serve starts it by a shell: by `exec` the process that is ended is the application itself.
COMMAND = f"exec {shlex.join([sys.executable, '-m', 'gatekeeper', 'tui'])}"
STOP_SECONDS = 5.0
# Sizes of a terminal in cells: least, most, and where none is told.
WIDTHS, HEIGHTS = (20, 500, 80), (5, 200, 24)
# OSC 52, which xterm.js leaves out; Textual writes it in one piece.
CLIPBOARD = re.compile(rb"\x1b\]52;c;([A-Za-z0-9+/=]*)\x07")
# What a message of the page's script has in its list.
Value = str | float | bool | None | dict[str, float]


class Terminal(AppService):
    """The terminal application for the gateway at `url`, with the key (None in open mode) of its user."""

    def __init__(self, url: str, key: str | None, socket: web.WebSocketResponse) -> None:
        self._url = url
        self._key = key

        async def close() -> None:
            await socket.close()

        super().__init__(
            COMMAND,
            write_bytes=socket.send_bytes,
            write_str=socket.send_str,
            close=close,
            download_manager=DownloadManager(),
        )

    def _build_environment(self, width: int = 80, height: int = 24) -> dict[str, str]:
        environment = super()._build_environment(width, height)
        for name in REMOVED:
            environment.pop(name, None)
        environment[URL_VARIABLE] = self._url
        if self._key:
            environment[KEY_VARIABLE] = self._key
        return environment

    async def run(self) -> None:
        """Forwards what the process writes until it ends, however it does."""
        await super().run()
        await self.remote_close()

    async def on_data(self, payload: bytes) -> None:
        """Forwards what the process writes; what it asks the terminal to copy, the page copies."""
        for encoded in CLIPBOARD.findall(payload):
            text = base64.b64decode(encoded).decode()
            await self.remote_write_str(msgspec.json.encode(["copy", text]).decode())
        await self.remote_write_bytes(CLIPBOARD.sub(b"", payload))

    async def stop(self) -> None:
        """Ends the process; one that does not end by itself is killed."""
        try:
            # An application that hangs must not keep the page's place for ever.
            async with asyncio.timeout(STOP_SECONDS):
                await super().stop()
                if self._process:
                    self.stdin.close()
                    await self._process.wait()
        except TimeoutError:
            if self._process:
                self._process.kill()
                await self._process.wait()


async def run_terminal(socket: web.WebSocketResponse, terminal: Terminal, width: str, height: str) -> None:
    """Runs the process until it or the browser ends; the size is what the browser told."""
    try:
        await terminal.start(bounded(width, WIDTHS), bounded(height, HEIGHTS))
        async for message in socket:
            if message.type is WSMsgType.TEXT:
                await forward(socket, terminal, message.data)
    finally:
        await terminal.stop()


def bounded(told: str | float, bounds: tuple[int, int, int]) -> int:
    """A size as the browser told it, within its bounds."""
    least, most, otherwise = bounds
    try:
        return max(least, min(int(float(told)), most))
    except (ValueError, OverflowError):
        return otherwise


async def forward(socket: web.WebSocketResponse, terminal: Terminal, text: str) -> None:
    """Forwards a message of the page's script, a list with its type first. Anything else is ignored."""
    try:
        message = msgspec.json.decode(text, type=list[Value])
    except msgspec.DecodeError:
        return
    match message:
        case ["stdin", str(keys)]:
            await terminal.send_bytes(keys.encode())
        case ["resize", {"width": width, "height": height}]:
            await terminal.set_terminal_size(bounded(width, WIDTHS), bounded(height, HEIGHTS))
        case ["ping", sent]:
            await socket.send_json(["pong", sent])
        case ["blur", *_]:
            await terminal.blur()
        case ["focus", *_]:
            await terminal.focus()
        case _:
            pass
