"""The checks of `gatekeeper doctor`: each looks at one thing, changes nothing, and is done within seconds."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import datetime, timedelta

import msgspec

from gatekeeper import addresses, obstacles
from gatekeeper.cli.failure import Failure, Status
from gatekeeper.cli.gateway import Target, ask
from gatekeeper.cli.reach import Unreached, upstream_clock
from gatekeeper.price_file import load_catalogue
from gatekeeper.pricing.catalogue import Catalogue, CatalogueError
from gatekeeper.settings import Settings

STALE = timedelta(days=90)
SKEW = timedelta(minutes=2)
READY_SECONDS = 3


class Finding(msgspec.Struct, frozen=True):
    """What a check saw. A `remedy` says that something is wrong, and what to do."""

    check: str
    detail: str
    remedy: str | None = None


def check_key(settings: Settings) -> Finding:
    """Whether a Google key is set. Its form says nothing, and only a call could tell what Google thinks."""
    if obstacle := obstacles.no_key(settings):
        return Finding("Google key", obstacle.what, obstacle.remedy)
    if not settings.gemini_api_key:
        return Finding("Google key", "not set; the sandbox needs none")
    return Finding(
        "Google key", f"{len(settings.gemini_api_key)} set by {settings.sources['gemini_api_key']}"
    )


def check_upstream(settings: Settings, now: datetime) -> Iterator[Finding]:
    """Whether it can be connected to and, by the way, whether its clock and ours agree."""
    if settings.sandbox:
        yield Finding("upstream", "the built-in sandbox")
        return
    if obstacle := obstacles.own_upstream(settings):
        yield Finding("upstream", obstacle.what, obstacle.remedy)
        return
    try:
        theirs = upstream_clock(settings.upstream)
    except Unreached as reason:
        yield Finding(
            "upstream",
            f"{settings.upstream} cannot be reached: {reason}",
            "check network, DNS and firewall, and GEMINI_API_BASE if it is not Google's address",
        )
        return
    yield Finding("upstream", f"{settings.upstream} can be reached")
    if theirs is not None and abs(theirs - now) > SKEW:
        yield Finding("clock", f"{abs(theirs - now).total_seconds():.0f} s from the upstream's", SET_CLOCK)


SET_CLOCK = "set the clock of this machine, best by NTP: prices, budgets and expiry go by it"


def check_prices(now: datetime) -> Iterator[Finding]:
    """Whether there is a catalogue, how old it is, and whether the clock is past the day it was made."""
    try:
        catalogue = load_catalogue()
    except (CatalogueError, OSError) as error:
        yield Finding("prices", str(error), "mend that entry, or install gatekeeper again")
        return
    yield clock_after(catalogue, now)
    stood = f"of {catalogue.version}, checked on {catalogue.checked}"
    if now.date() - catalogue.checked > STALE:
        yield Finding(
            "prices", f"{stood}: that is long ago", "install a newer gatekeeper, or mend prices.toml"
        )
    else:
        yield Finding("prices", stood)


def clock_after(catalogue: Catalogue, now: datetime) -> Finding:
    told = f"{now:%Y-%m-%d %H:%M:%S} UTC"
    if now.date() < catalogue.checked - timedelta(days=1):
        return Finding("clock", f"{told} is before the day of the price catalogue", SET_CLOCK)
    return Finding("clock", told)


def check_gateway(url: str) -> tuple[bool, Finding]:
    """Whether one answers there, and how it is."""
    try:
        ready = ask(Target(url, None), lambda client: asyncio.wait_for(client.ready(), READY_SECONDS))
        told = msgspec.json.decode(ready.raw, type=Readiness)
    except TimeoutError:
        return False, Finding("gateway", f"{url} takes connections and does not answer", SOMETHING_ELSE)
    except msgspec.DecodeError:
        return False, Finding("gateway", f"something else answers at {url}", SOMETHING_ELSE)
    except Failure as failure:
        if failure.status is Status.UNREACHABLE:
            return False, Finding("gateway", f"none runs at {url}")
        return False, Finding("gateway", f"something else answers at {url}", SOMETHING_ELSE)
    complaints = "; ".join([*told.reasons, *told.warnings])
    if complaints:
        return True, Finding("gateway", f"{url}: {complaints}", "look at its log, and at the disk")
    return True, Finding("gateway", f"ready at {url}")


SOMETHING_ELSE = "look what listens there; stop it, or choose another --port"


class Readiness(msgspec.Struct):
    """The document of `/readyz`."""

    reasons: list[str] = []
    warnings: list[str] = []


def check_port(settings: Settings, runs_here: bool) -> Finding:
    """Whether `serve` could listen, or does."""
    where = addresses.joined(settings.host, settings.port)
    if runs_here:
        return Finding("port", f"{where} is the running gateway's")
    try:
        for listener in addresses.bind(settings.host, settings.port, 1):
            listener.close()
    except OSError as fault:
        return Finding("port", f"{where}: {fault.strerror}", addresses.remedy(fault))
    return Finding("port", f"{where} is free")
