"""The block that `serve` prints when it is ready: where it listens, how it is set up, what to try next."""

from __future__ import annotations

import importlib.metadata
import sys
from typing import Any

from gatekeeper.settings import Settings
from gatekeeper.streams import Outlet

TRY = """\
  try it     curl "{url}/gemini/v1beta/models/gemini-2.5-flash:generateContent?key={key}" \\
               -H 'Content-Type: application/json' -d '{{"contents":[{{"parts":[{{"text":"Hello"}}]}}]}}'"""


def version() -> str:
    return importlib.metadata.version("gatekeeper-gemini")


def show(settings: Settings, address: tuple[Any, ...]) -> None:
    """Prints it to stdout. `address` is that of the listening socket."""
    host = f"[{address[0]}]" if ":" in address[0] else address[0]
    url = f"http://{host}:{address[1]}"
    lines = [
        f"gatekeeper {version()}",
        "",
        f"  address    {url}/gemini   in place of https://generativelanguage.googleapis.com",
        f"  mode       {_mode(settings)}",
        f"  upstream   {'a simulated Gemini API, built in' if settings.sandbox else settings.upstream}",
        f"  data       {settings.data.resolve()}",
        "",
        TRY.format(url=url, key="anything" if settings.open_mode else "KEY"),
        f"  keys       gatekeeper keys create --alias me{_url(address[1])}",
        f"  watch      gatekeeper tui{_url(address[1])}",
        "  stop       ctrl+c",
    ]
    Outlet(sys.stdout.fileno()).write("\n".join([*lines, ""]))


def _mode(settings: Settings) -> str:
    if settings.open_mode:
        return (
            "open: any client key is accepted, from this machine only (set GATEKEEPER_MASTER_KEY to change)"
        )
    return "master key: clients need a virtual key"


def _url(port: int) -> str:
    return "" if port == 4000 else f" --url http://127.0.0.1:{port}"
