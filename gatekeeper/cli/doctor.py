"""The set-up of this machine: `gatekeeper doctor` checks it, `gatekeeper config` prints it.

Each check looks at one thing, changes nothing, and is done within seconds.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import click
import msgspec

from gatekeeper import addresses, startup
from gatekeeper.addresses import is_own_url, local_url
from gatekeeper.cli.conventions import (
    FLAGS,
    Failure,
    Status,
    Target,
    ask,
    examples,
    loaded,
    own_json_option,
    setting_flags,
)
from gatekeeper.cli.output import emit, print_cells, print_table
from gatekeeper.cli.probes import Finding, Unreached, check_folder, check_kind, upstream_clock
from gatekeeper.client.formats import Column, Tone, padded
from gatekeeper.settings import SETTINGS, Setting, Settings, masked

if TYPE_CHECKING:
    from gatekeeper.pricing.catalogue import Catalogue

NAME = 14
# From this age on a catalogue may lack new models and prices.
STALE = timedelta(days=90)
# Between the upstream's clock and ours.
SKEW = timedelta(minutes=2)
# Seconds that a gateway has to say how it is.
READY_SECONDS = 3


@click.command("doctor", epilog=examples("doctor", "doctor --data /var/lib/gatekeeper --json"))
@click.option(
    "--url", envvar="GATEKEEPER_URL", metavar="URL", help="Where a gateway runs, if elsewhere than set."
)
@own_json_option
@setting_flags(*FLAGS)
def doctor(config: Path | None, url: str | None, as_json: bool, **flags: object) -> int:
    """Check settings, Google key, upstream, data folder, port, clock, prices and the running gateway.

    Each finding says what to do; if there is one, the exit status is 7. No key is sent anywhere.
    """
    findings = examined(flags, config, url)
    if as_json:
        found = list(findings)
        fine = all(finding.remedy is None for finding in found)
        emit(msgspec.json.encode({"ok": fine, "checks": found}))
    else:
        # Counted, because `all` would stop at the first that is not well, and the rest would not be printed.
        fine = [told(finding) for finding in findings].count(False) == 0
    return Status.FINE if fine else Status.FOUND


def examined(flags: Mapping[str, object], config: Path | None, url: str | None) -> Iterator[Finding]:
    """All checks, as they are done; without settings those that need none."""
    now = datetime.now(UTC)
    try:
        settings = loaded(flags, config)
    except Failure as failure:
        yield Finding("settings", "they do not do", str(failure))
        yield from check_prices(now)
        return
    here = local_url(settings.host, settings.port)
    yield Finding("settings", f"for a gateway at {here}, {settings.mode} mode")
    yield check_key(settings)
    yield from check_upstream(settings, now)
    # Asked now and told last: whether it runs here decides what may be in use below.
    answers, gateway = check_gateway(url or here)
    runs_here = answers and (url is None or is_own_url(url, settings.port))
    yield from check_folder(settings.data, runs_here)
    yield from check_kind(settings)
    yield check_port(settings, runs_here)
    yield from check_prices(now)
    yield gateway


def told(finding: Finding) -> bool:
    """Prints it; whether all is well."""
    fine = finding.remedy is None
    sign = ("✓ ", Tone.FINE) if fine else ("✗ ", Tone.ERROR)
    print_cells([sign, (padded(finding.check, NAME, right=False), Tone.PLAIN), (finding.detail, Tone.PLAIN)])
    if finding.remedy:
        print_cells([(" " * (NAME + 2) + f"→ {finding.remedy}", Tone.LIMIT)])
    return fine


def check_key(settings: Settings) -> Finding:
    """Whether a Google key is set. Its form says nothing, and only a call could tell what Google thinks."""
    if obstacle := startup.missing_google_key(settings):
        return Finding("Google key", obstacle.problem, obstacle.remedy)
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
    if obstacle := startup.upstream_is_self(settings):
        yield Finding("upstream", obstacle.problem, obstacle.remedy)
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
    from gatekeeper.price_file import load_catalogue
    from gatekeeper.pricing.catalogue import CatalogueError

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
    import asyncio

    try:
        ready = ask(Target(url, None), lambda client: asyncio.wait_for(client.ready(), READY_SECONDS))
        told = msgspec.json.decode(ready.raw, type=Readiness)
    except TimeoutError:
        return False, Finding("gateway", f"{url} takes connections and does not answer", SOMETHING_ELSE)
    except msgspec.DecodeError:
        return False, Finding("gateway", f"something else answers at {url}", SOMETHING_ELSE)
    except Failure as failure:
        if failure.status is Status.UNREACHABLE:
            # No remedy: that none runs is no fault, or nobody could check before the first start.
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
    where = addresses.host_port(settings.host, settings.port)
    if runs_here:
        return Finding("port", f"{where} is the running gateway's")
    try:
        # As `serve` would listen, and let go at once: nothing else tells whether the port is free.
        for listener in addresses.bind(settings.host, settings.port, 1):
            listener.close()
    except OSError as fault:
        return Finding("port", f"{where}: {fault.strerror}", addresses.bind_remedy(fault))
    return Finding("port", f"{where} is free")


@click.command("config", epilog=examples("config", "config --config /etc/gatekeeper.toml --json"))
@own_json_option
@setting_flags(*FLAGS)
def config(config: Path | None, as_json: bool, **flags: object) -> None:
    """Print every setting in force and where it came from, as `serve` would see them here.

    Of a secret only the end is shown.
    """
    settings = loaded(flags, config)
    if as_json:
        emit(msgspec.json.encode({"settings": document(settings)}))
    else:
        print_table(columns(settings), SETTINGS)


def document(settings: Settings) -> dict[str, dict[str, object]]:
    """By name; numbers and switches as such, all else as text, null where one is not set."""
    # A secret is text, so none is among these: all text goes through `shown`, which masks it.
    plain = {name: value for name, value in vars(settings).items() if isinstance(value, bool | int | float)}
    return {
        setting.name: {
            "value": plain.get(setting.name, shown(settings, setting)),
            "source": settings.sources[setting.name],
            "meaning": setting.meaning,
        }
        for setting in SETTINGS
    }


def shown(settings: Settings, setting: Setting) -> str | None:
    return masked(setting, getattr(settings, setting.name))


def columns(settings: Settings) -> list[Column[Setting]]:
    return [
        Column("setting", 0, lambda setting: (setting.name, Tone.PLAIN)),
        Column("value", 0, lambda setting: (shown(settings, setting) or "not set", Tone.ACCENT)),
        Column("from", 0, lambda setting: (settings.sources[setting.name], Tone.PLAIN)),
        Column("meaning", 0, lambda setting: (setting.meaning, Tone.FAINT)),
    ]
