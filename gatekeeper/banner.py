"""The block that `serve` prints when it is ready: where it listens, how it is set up, what to try next."""

from __future__ import annotations

import importlib.metadata
import socket
import sys

from gatekeeper.addresses import ANY, DEFAULT_URL, local_url
from gatekeeper.logs import Outlet
from gatekeeper.settings import Settings
from gatekeeper.values import GOOGLE

TRY = """\
  try it     curl "{url}/gemini/v1beta/models/gemini-2.5-flash:generateContent?key={key}" \\
               -H 'Content-Type: application/json' -d '{{"contents":[{{"parts":[{{"text":"Hello"}}]}}]}}'"""


def version() -> str:
    return importlib.metadata.version("gatekeeper-gemini")


def show(settings: Settings, address: tuple[str | int, ...]) -> None:
    """Prints it to stdout. `address` is that of the listening socket."""
    host, port = str(address[0]), int(address[1])
    # What clients can use: 0.0.0.0 can be listened on, not connected to everywhere.
    url = local_url(host, port)
    lines = [
        f"gatekeeper {version()}",
        "",
        f"  address    {url}/gemini   in place of {GOOGLE}",
        *_elsewhere(host, port),
        f"  mode       {_mode(settings)}",
        f"  upstream   {'a simulated Gemini API, built in' if settings.sandbox else settings.upstream}",
        f"  data       {settings.data.resolve()}",
        "",
        TRY.format(url=url, key="anything" if settings.open_mode else "KEY"),
        f"  keys       gatekeeper keys create --alias me{_flag(url)}",
        f"  watch      gatekeeper tui{_flag(url)}",
        "  stop       ctrl+c",
    ]
    Outlet(sys.stdout.fileno()).write("\n".join([*lines, ""]))


def _mode(settings: Settings) -> str:
    if settings.open_mode:
        return (
            "open: any client key is accepted, from this machine only (set GATEKEEPER_MASTER_KEY to change)"
        )
    return "master key: clients need a virtual key"


def _elsewhere(host: str, port: int) -> list[str]:
    """For clients on other machines, where all addresses of this one are listened on."""
    if host not in ANY:
        return []
    url = local_url(socket.gethostname(), port)
    return [f"             {url}/gemini   from other machines, by this one's name or address"]


def _flag(url: str) -> str:
    """What tells a client command the address, where it is not the one that it would try by itself."""
    return "" if url == DEFAULT_URL else f" --url {url}"
