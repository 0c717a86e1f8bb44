"""`gatekeeper doctor` checks the set-up of a gateway; `gatekeeper config` prints the settings of one that
would be started here.

Each check looks at one thing, changes nothing, and takes a few seconds at most.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import click
import msgspec

from gatekeeper import addresses, startup
from gatekeeper.addresses import PORTS, is_own_url
from gatekeeper.cli.conventions import (
    FLAGS,
    CommandError,
    ExitStatus,
    Target,
    examples,
    load_settings,
    local_json_option,
    setting_flags,
    stripped,
)
from gatekeeper.cli.deadline import ProbeError
from gatekeeper.cli.output import print_json, print_table, print_wrapped
from gatekeeper.cli.price_findings import (
    SET_CLOCK,
    check_prices,
    check_unpriced,
    unpriced_at_gateway,
    unpriced_in_file,
)
from gatekeeper.cli.probes import (
    Finding,
    check_certificate,
    check_folder,
    check_kind,
    upstream_clock,
)
from gatekeeper.cli.running_gateway import (
    MAX_CLOCK_SKEW,
    Running,
    ask,
    check_clocks,
    check_its_folder,
    check_its_prices,
    check_running,
)
from gatekeeper.cli.table_layout import TableColumn
from gatekeeper.client.columns import Column, TextRole, padded
from gatekeeper.settings import SETTINGS, OwnPrices, Setting, Settings, masked

if TYPE_CHECKING:
    from gatekeeper.client.spend import UnpricedModel

NAME_WIDTH = 14


@click.command("doctor", epilog=examples("doctor", "doctor --url http://127.0.0.1:4000 --json"))
@click.option(
    "--url",
    envvar="GATEKEEPER_URL",
    metavar="URL",
    show_envvar=True,
    callback=stripped,
    help="Where a gateway runs, if elsewhere than set.",
)
@click.option(
    "--key",
    envvar=["GATEKEEPER_MASTER_KEY", "LITELLM_MASTER_KEY"],
    metavar="KEY",
    show_envvar=True,
    callback=stripped,
    help="Its master key, or a key with a role.",
)
@local_json_option
@setting_flags(*FLAGS)
def doctor(config: Path | None, url: str | None, key: str | None, as_json: bool, **flags: object) -> int:
    """Check the gateway that runs, or the set-up for one that is started here.

    A running gateway is asked for its settings, Google keys, clock, prices and data folder; without one they
    are those that `serve` would have with these flags, this environment and file. Each finding says what to
    do; if there is one, the exit status is 7. No Google key is sent anywhere, and the master key of a
    settings file to this machine's own gateway only.
    """
    findings = run_checks(flags, config, url, key)
    if as_json:
        found = list(findings)
        ok = all(finding.remedy is None for finding in found)
        print_json(msgspec.json.encode({"ok": ok, "checks": found}))
    else:
        # Counted, because `all` would stop at the first failed check, and the rest would not be printed.
        ok = [print_finding(finding) for finding in findings].count(False) == 0
    return ExitStatus.OK if ok else ExitStatus.CHECK_FAILED


def run_checks(
    flags: Mapping[str, object], config: Path | None, url: str | None, key: str | None
) -> Iterator[Finding]:
    """Runs the checks one by one; with invalid settings only those that need none."""
    now = datetime.now(UTC)
    try:
        settings = load_settings(flags, config)
    except CommandError as error:
        yield Finding("settings", "invalid", str(error))
        yield from check_prices(now, None)
        return
    certificate, findings = check_certificate(settings, now)
    here = startup.gateway_url(settings, settings.host, settings.port, certificate)
    # The key of a file that is here, sent to an address that somebody has typed, would be given away.
    own_key = settings.master_key if url is None or is_local(url) else None
    target, pinned = Target(url or here, key or own_key), None if url else settings.tls_cert
    found = ask(target, pinned)
    if isinstance(found, Running):
        yield from check_gateway(found, target, pinned, now)
        return
    yield found
    yield Finding("settings", f"for a gateway at {here}, {settings.mode} mode")
    yield from findings
    yield from check_set_up(settings, now)


def check_set_up(settings: Settings, now: datetime) -> Iterator[Finding]:
    """Checks the set-up for a gateway with these settings on this machine."""
    yield from check_trusted_proxies(settings)
    yield check_key(settings)
    yield from check_upstream(settings, now)
    yield from check_folder(settings.data, runs_here=False)
    yield from check_kind(settings)
    yield check_port(settings)
    yield from check_prices(now, settings.own_prices)
    yield from check_calls(lambda: unpriced_in_file(settings.data, now), settings.own_prices, now)


def check_gateway(running: Running, target: Target, pinned: Path | None, now: datetime) -> Iterator[Finding]:
    """Checks a running gateway: what it reports, and what this machine can check."""
    local = is_local(running.url)
    yield from check_running(running, target.key is not None)
    if settings := running.settings():
        yield from check_trusted_proxies(settings)
        if local:
            yield from check_certificate(settings, now)[1]
            yield from check_upstream(settings, now)
        else:
            yield Finding("upstream", f"{settings.upstream}, not looked at from here")
        yield from check_its_folder(settings.data, local)
    if running.told:
        yield check_clocks(running.told, now)
    if running.prices:
        yield from check_its_prices(running.prices, now)
        file = running.prices.own_file if local else None
        own = OwnPrices(Path(file)) if file else None
        yield from check_calls(lambda: unpriced_at_gateway(target, pinned), own, now)


def is_local(url: str) -> bool:
    """Whether a gateway at this URL is on this machine."""
    with suppress(ValueError):
        parts = urlsplit(url)
        return parts.scheme in PORTS and is_own_url(url, parts.port or PORTS[parts.scheme])
    return False


def print_finding(finding: Finding) -> bool:
    """Prints a finding; returns whether the check passed."""
    ok = finding.remedy is None
    sign = ("✓ ", TextRole.SUCCESS) if ok else ("✗ ", TextRole.ERROR)
    print_wrapped(
        [
            sign,
            (padded(finding.check, NAME_WIDTH, right=False), TextRole.PLAIN),
            (finding.detail, TextRole.PLAIN),
        ]
    )
    if finding.remedy:
        print_wrapped([(" " * (NAME_WIDTH + 2) + "→ ", TextRole.WARNING), (finding.remedy, TextRole.WARNING)])
    return ok


def check_trusted_proxies(settings: Settings) -> Iterator[Finding]:
    """Checks that not every address is a trusted proxy."""
    if any(network.prefixlen == 0 for network in settings.trusted_proxies or ()):
        yield Finding(
            "proxies",
            f"trusted_proxies (set by {settings.sources['trusted_proxies']}) holds every address: any client "
            "can forge its own",
            "name the addresses or networks of your proxies only",
        )


def check_key(settings: Settings) -> Finding:
    """Whether a Google key is set. Whether Google accepts it, only a call could show."""
    if problem := startup.missing_google_key(settings):
        return Finding("Google key", problem.problem, problem.remedy)
    if not settings.own_google_keys:
        return Finding("Google key", "not set; the sandbox needs none")
    sets = {
        settings.sources[name]: len(keys)
        for name in ("gemini_api_key", "google_keys")
        if (keys := getattr(settings, name))
    }
    told = " and ".join(f"{count} set by {source}" for source, count in sets.items())
    projects = len({key.project for key in settings.own_google_keys})
    return Finding("Google key", told + (f", of {projects} projects" if projects > 1 else ""))


def check_upstream(settings: Settings, now: datetime) -> Iterator[Finding]:
    """Whether it can be reached and, from the same response, whether the clocks agree."""
    if settings.sandbox:
        yield Finding("upstream", "the built-in sandbox")
        return
    if problem := startup.upstream_is_self(settings):
        yield Finding("upstream", problem.problem, problem.remedy)
        return
    try:
        theirs = upstream_clock(settings.upstream)
    except ProbeError as reason:
        yield Finding(
            "upstream",
            f"{settings.upstream} cannot be reached: {reason}",
            "check network, DNS and firewall, and GEMINI_API_BASE if it is not Google's address",
        )
        return
    yield Finding("upstream", f"{settings.upstream} can be reached")
    if theirs is not None and abs(theirs - now) > MAX_CLOCK_SKEW:
        yield Finding("clock", f"{abs(theirs - now).total_seconds():.0f} s from the upstream's", SET_CLOCK)


def check_calls(
    look: Callable[[], Sequence[UnpricedModel] | None], own: OwnPrices | None, now: datetime
) -> Iterator[Finding]:
    """Whether recent calls lack a price. A faulty catalogue is told by `check_prices`."""
    from gatekeeper.pricing.price_faults import CatalogueError
    from gatekeeper.startup import load_catalogue

    with suppress(CatalogueError, OSError):
        yield from check_unpriced(look, load_catalogue(own), now)


def check_port(settings: Settings) -> Finding:
    """Whether `serve` could listen there."""
    where = addresses.host_port(settings.host, settings.port)
    try:
        # Bound as `serve` would, and closed at once: nothing else shows whether the port is free.
        for listener in addresses.bind(settings.host, settings.port, 1):
            listener.close()
    except OSError as error:
        return Finding("port", f"{where}: {error.strerror}", addresses.bind_remedy(error))
    return Finding("port", f"{where} is free")


@click.command("config", epilog=examples("config", "config --config /etc/gatekeeper.toml --json"))
@local_json_option
@setting_flags(*FLAGS)
def config(config: Path | None, as_json: bool, **flags: object) -> None:
    """Print every setting in effect and where it came from, as `serve` would see them here.

    Secrets are masked except for their last characters.
    """
    settings = load_settings(flags, config)
    if as_json:
        print_json(msgspec.json.encode({"settings": document(settings)}))
    else:
        print_table(columns(settings), SETTINGS)


def document(settings: Settings) -> dict[str, dict[str, object]]:
    """By name; numbers and switches as such, everything else as text, null where it is not set."""
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
        Column("setting", 0, lambda setting: (setting.name, TextRole.PLAIN)),
        Column("value", 0, lambda setting: (shown(settings, setting) or "not set", TextRole.ACCENT)),
        Column("from", 0, lambda setting: (settings.sources[setting.name], TextRole.PLAIN)),
        TableColumn("meaning", 30, lambda setting: (setting.meaning, TextRole.DIM), drop=2),
    ]
