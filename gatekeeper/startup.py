"""A start: what in the settings stands in its way (`serve` refuses with it, `doctor` names it), and the block
that `serve` prints when it is ready: where it listens, how it is set up, what to try next."""

from __future__ import annotations

import importlib.metadata
import socket
import sys
from pathlib import Path
from typing import NamedTuple

from gatekeeper import addresses, data_dir, values
from gatekeeper.addresses import ANY, DEFAULT_URL, local_url
from gatekeeper.runtime import Outlet
from gatekeeper.settings import Settings
from gatekeeper.values import GOOGLE


class Obstacle(NamedTuple):
    """What it is and what to do about it, for people, without capital and full stop; and the exit status."""

    what: str
    remedy: str
    status: int = 2

    def __str__(self) -> str:
        return f"{self.what}. {self.remedy[0].upper()}{self.remedy[1:]}"


def no_key(settings: Settings) -> Obstacle | None:
    if settings.sandbox or settings.gemini_api_key is not None:
        return None
    return Obstacle(
        "there is no Google key",
        "either set GEMINI_API_KEY (https://aistudio.google.com/apikey), "
        "or try it without one: gatekeeper serve --sandbox",
    )


def own_upstream(settings: Settings) -> Obstacle | None:
    """A call to itself would be relayed to itself, until there are no descriptors left. Any address of this
    machine counts: the one listened on may have several names."""
    # Whatever name the URL has: a name in /etc/hosts, another interface, 0.0.0.0.
    if settings.sandbox or not addresses.leads_here(settings.upstream, settings.port):
        return None
    source = settings.sources["upstream"]
    remedy = f"say where the API is: --upstream {values.GOOGLE}"
    if source == "GEMINI_API_BASE":
        remedy = f"unset it for the gateway, clients read that variable too; or {remedy}"
    return Obstacle(
        f"the upstream {settings.upstream} (set by {source}) is this gateway's own address: every call would "
        "come back to it",
        remedy,
    )


def other_kind(settings: Settings) -> Obstacle | None:
    """Spend of the sandbox among Google's, or the other way round. Raises OSError."""
    here = data_dir.kind(settings)
    for place, mark in data_dir.places(settings).items():
        found = data_dir.kind_of(place, mark)
        if found in (None, here):
            continue
        owner = "the sandbox, whose money is not real" if not settings.sandbox else "calls to Google"
        return Obstacle(f"{place} belongs to {owner}", _other_place(settings, place, mark), status=6)
    return None


def _other_place(settings: Settings, place: Path, mark: Path) -> str:
    if place != settings.data:
        remedy = "choose another DATABASE_URL"
    elif settings.sandbox:
        remedy = f"leave --data out, the sandbox has {values.SANDBOX_FOLDER}; or choose another"
    else:
        remedy = "choose another --data, or say --sandbox"
    # From before there were marks, such a folder counts as Google's, and only its owner knows better.
    if settings.sandbox and not mark.exists():
        remedy += f". If it is the sandbox's from before it had a mark, write {data_dir.SANDBOX} into {mark}"
    return remedy


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
