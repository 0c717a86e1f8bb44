"""The set-up of this machine: `gatekeeper doctor` checks it, `gatekeeper config` prints it.

Each check looks at one thing, changes nothing, and takes a few seconds at most.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import click
import msgspec

from gatekeeper import addresses, startup
from gatekeeper.addresses import is_own_url
from gatekeeper.cli.conventions import (
    FLAGS,
    CommandError,
    ExitStatus,
    Target,
    call_api,
    examples,
    load_settings,
    local_json_option,
    setting_flags,
)
from gatekeeper.cli.output import print_cells, print_json, print_table
from gatekeeper.cli.price_findings import SET_CLOCK, check_prices
from gatekeeper.cli.probes import (
    Finding,
    ProbeError,
    check_certificate,
    check_folder,
    check_kind,
    trust_only,
    upstream_clock,
)
from gatekeeper.client.formats import Column, TextRole, padded
from gatekeeper.settings import SETTINGS, Setting, Settings, masked

NAME_WIDTH = 14
# Between the upstream's clock and this machine's.
MAX_CLOCK_SKEW = timedelta(minutes=2)
# Time limit of the request to /readyz.
READY_SECONDS = 3


@click.command("doctor", epilog=examples("doctor", "doctor --data /var/lib/gatekeeper --json"))
@click.option(
    "--url", envvar="GATEKEEPER_URL", metavar="URL", help="Where a gateway runs, if elsewhere than set."
)
@local_json_option
@setting_flags(*FLAGS)
def doctor(config: Path | None, url: str | None, as_json: bool, **flags: object) -> int:
    """Check settings, Google key, upstream, data folder, port, clock, prices and the running gateway.

    Each finding says what to do; if there is one, the exit status is 7. No Google key is sent anywhere, and
    the master key to this machine's own gateway only.
    """
    findings = run_checks(flags, config, url)
    if as_json:
        found = list(findings)
        ok = all(finding.remedy is None for finding in found)
        print_json(msgspec.json.encode({"ok": ok, "checks": found}))
    else:
        # Counted, because `all` would stop at the first failed check, and the rest would not be printed.
        ok = [print_finding(finding) for finding in findings].count(False) == 0
    return ExitStatus.OK if ok else ExitStatus.CHECK_FAILED


def run_checks(flags: Mapping[str, object], config: Path | None, url: str | None) -> Iterator[Finding]:
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
    yield Finding("settings", f"for a gateway at {here}, {settings.mode} mode")
    yield from findings
    yield from check_trusted_proxies(settings)
    yield check_key(settings)
    yield from check_upstream(settings, now)
    # Checked now and reported last: the checks of folder and port need to know whether it runs here.
    runs, gateway = check_gateway(url or here, None if url else settings.tls_cert)
    runs_here = runs and (url is None or is_own_url(url, settings.port))
    yield from check_folder(settings.data, runs_here)
    yield from check_kind(settings)
    yield check_port(settings, runs_here)
    yield from check_prices(now, settings.own_prices)
    yield from check_calls(settings, (url or here) if runs_here else None, now)
    yield gateway


def print_finding(finding: Finding) -> bool:
    """Prints a finding; returns whether the check passed."""
    ok = finding.remedy is None
    sign = ("✓ ", TextRole.SUCCESS) if ok else ("✗ ", TextRole.ERROR)
    print_cells(
        [
            sign,
            (padded(finding.check, NAME_WIDTH, right=False), TextRole.PLAIN),
            (finding.detail, TextRole.PLAIN),
        ]
    )
    if finding.remedy:
        print_cells([(" " * (NAME_WIDTH + 2) + f"→ {finding.remedy}", TextRole.WARNING)])
    return ok


def check_trusted_proxies(settings: Settings) -> Iterator[Finding]:
    """Whether not everybody is trusted to say who the client is."""
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


def check_calls(settings: Settings, gateway: str | None, now: datetime) -> Iterator[Finding]:
    """Whether recent calls lack a price. A faulty catalogue is told by `check_prices`."""
    from gatekeeper.cli.unpriced_check import check_unpriced
    from gatekeeper.pricing.faults import CatalogueError
    from gatekeeper.startup import load_catalogue

    with suppress(CatalogueError, OSError):
        yield from check_unpriced(settings, gateway, load_catalogue(settings.own_prices), now)


def check_gateway(url: str, certificate: Path | None) -> tuple[bool, Finding]:
    """Whether one responds at `url`, and what it reports. Its certificate is trusted if it is this one."""
    import asyncio

    try:
        ready = call_api(
            Target(url, None),
            lambda client: asyncio.wait_for(client.ready(), READY_SECONDS),
            trust_only(certificate) if certificate else None,
        )
        readiness = msgspec.json.decode(ready.raw, type=Readiness)
    except TimeoutError:
        return False, Finding(
            "gateway", f"{url} accepts connections and does not respond", NOT_A_GATEWAY_REMEDY
        )
    except msgspec.DecodeError:
        return False, Finding("gateway", f"something else responds at {url}", NOT_A_GATEWAY_REMEDY)
    except CommandError as error:
        if error.status is ExitStatus.UNREACHABLE:
            # No remedy, as it is no error: `doctor` is also run before the first start.
            return False, Finding("gateway", f"none runs at {url}")
        return False, Finding("gateway", f"something else responds at {url}", NOT_A_GATEWAY_REMEDY)
    complaints = "; ".join([*readiness.reasons, *readiness.warnings])
    if complaints:
        return True, Finding("gateway", f"{url}: {complaints}", "look at its log, and at the disk")
    keys = ", ".join(f"{key.label} {key.state}" for key in readiness.google_keys)
    told = f"; Google keys: {keys}" if len(readiness.google_keys) > 1 else ""
    return True, Finding("gateway", f"ready at {url}{told}")


NOT_A_GATEWAY_REMEDY = "find out what listens there; stop it, or choose another --port"


class KeyState(msgspec.Struct):
    label: str
    state: str


class Readiness(msgspec.Struct):
    """The document of `/readyz`."""

    reasons: list[str] = []
    warnings: list[str] = []
    google_keys: list[KeyState] = []


def check_port(settings: Settings, runs_here: bool) -> Finding:
    """Whether `serve` could listen there, or already does."""
    where = addresses.host_port(settings.host, settings.port)
    if runs_here:
        return Finding("port", f"{where} is the running gateway's")
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
        Column("meaning", 0, lambda setting: (setting.meaning, TextRole.DIM)),
    ]
