"""The state of a running gateway for `gatekeeper doctor`. The gateway is asked, because the shell's
environment may differ from the gateway's."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, cast

import msgspec

from gatekeeper.cli.conventions import CommandError, Target, call_api
from gatekeeper.cli.price_findings import FIX_PRICES, SET_CLOCK, catalogue_age
from gatekeeper.cli.probes import Finding, check_disk_space, check_in_use, trust_only
from gatekeeper.client.api_errors import ApiError, BadRequest, NothingListens, Unauthorized, Unreachable
from gatekeeper.client.api_types import GatewayInfo, GoogleKey, Prices
from gatekeeper.setting_definitions import SETTINGS, Setting
from gatekeeper.settings import Settings

if TYPE_CHECKING:
    from gatekeeper.client.admin_api import Client

# Time limit of all that is asked, in seconds.
ASK_SECONDS = 3
# Between two clocks.
MAX_CLOCK_SKEW = timedelta(minutes=2)
NOT_A_GATEWAY = "find out what listens there; stop it, or choose another --port"
CHECK_ADDRESS = "check --url or GATEKEEPER_URL, and SSL_CERT_FILE"
LOOK_AT_LOG = "look at its log, and at the disk"
GIVE_KEY = "give its master key, or a key with a role: --key or GATEKEEPER_MASTER_KEY"


class Readiness(msgspec.Struct, frozen=True):
    """The document of `/readyz`, also of a gateway that takes no calls."""

    reasons: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    google_keys: tuple[GoogleKey, ...] = ()


class ReportedSetting(msgspec.Struct, frozen=True):
    """A setting; of a secret it is reported only that it is set."""

    value: str | int | float | bool | None
    source: str


class ReportedSettings(msgspec.Struct, frozen=True):
    """The document of `/settings`; `time` is that of the gateway's clock."""

    time: datetime
    settings: Mapping[str, ReportedSetting]


class Running(msgspec.Struct, frozen=True):
    """A gateway that responds. Without a key that it accepts it tells neither settings nor prices: `refused`
    says so."""

    url: str
    info: GatewayInfo
    readiness: Readiness
    told: ReportedSettings | None = None
    prices: Prices | None = None
    refused: str | None = None

    def settings(self) -> Settings | None:
        """What it runs with; None if that is not told, or another version has other settings. Secrets are
        None."""
        if self.told is None:
            return None
        told = self.told.settings
        with suppress(ValueError, KeyError):
            found = {each.name: parsed(each, told[each.name]) for each in SETTINGS}
            made = cast("Callable[..., Settings]", Settings)
            return made(**found, sources={name: each.source for name, each in told.items()})
        return None


def parsed(setting: Setting, told: ReportedSetting) -> object:
    """Raises ValueError."""
    # Of a secret the gateway tells that it is set, which is no value of it.
    return None if setting.secret or told.value is None else setting.parse(str(told.value))


def ask(target: Target, certificate: Path | None) -> Running | Finding:
    """The gateway at `target`, or what there is instead. Its certificate is trusted if it is this one."""
    # Imported here: `--help` does without.
    import asyncio

    from gatekeeper.client.connection import address_host

    try:
        address_host(target.url)
    except BadRequest as error:
        return Finding("gateway", str(error).rstrip("."), "change it, or unset GATEKEEPER_URL")
    try:
        return call_api(
            target,
            lambda client: asyncio.wait_for(_ask_server(client), ASK_SECONDS),
            trust_only(certificate) if certificate else None,
        )
    except TimeoutError:
        return Finding("gateway", f"{target.url} accepts connections and does not respond", NOT_A_GATEWAY)
    except CommandError as error:
        return Finding("gateway", str(error).rstrip("."), CHECK_ADDRESS)


async def _ask_server(client: Client) -> Running | Finding:
    try:
        return await _ask(client)
    except NothingListens:
        # No remedy, as it is no error: `doctor` is also run before the first start.
        return Finding("gateway", f"none runs at {client.url}: this is about one that is started here")
    except (Unreachable, BadRequest) as error:
        # TLS that is not trusted, or spoken by one side only.
        return Finding("gateway", str(error).rstrip("."), CHECK_ADDRESS)
    except (ApiError, msgspec.DecodeError):
        return Finding("gateway", f"something else responds at {client.url}", NOT_A_GATEWAY)


async def _ask(client: Client) -> Running:
    readiness = msgspec.json.decode((await client.ready()).raw, type=Readiness)
    running = Running(client.url, (await client.root()).value, readiness)
    try:
        told = msgspec.json.decode((await client.settings()).raw, type=ReportedSettings)
        return msgspec.structs.replace(running, told=told, prices=(await client.prices()).value)
    except Unauthorized:
        return msgspec.structs.replace(running, refused="it does not accept this key")
    except (msgspec.DecodeError, ApiError) as error:
        return msgspec.structs.replace(running, refused=str(error).rstrip("."))


def check_running(running: Running, has_key: bool) -> Iterator[Finding]:
    """Whether it takes calls, and with which keys and settings. `has_key`: it was given a key."""
    info, readiness = running.info, running.readiness
    where = f"{info.version or 'a gateway'} at {running.url}, {info.mode} mode"
    if complaints := "; ".join([*readiness.reasons, *readiness.warnings]):
        yield Finding("gateway", f"{where}: {complaints}", LOOK_AT_LOG)
    else:
        yield Finding("gateway", f"{where}, ready")
    yield _settings(running, has_key)
    keys = ", ".join(f"{key.label} {key.state}" for key in readiness.google_keys)
    yield Finding("Google key", "the sandbox needs none" if info.sandbox else keys or "not told")


def _settings(running: Running, has_key: bool) -> Finding:
    if running.told is None:
        if has_key:
            return Finding("settings", f"not told: {running.refused}", GIVE_KEY)
        # What it tells everybody is well: the rest is unknown, and no fault.
        return Finding("settings", f"not told without a key, nor are prices and data folder; {GIVE_KEY}")
    given = [
        f"{name} ({each.source})"
        for name, each in running.told.settings.items()
        if each.source != "default" and each.value is not None
    ]
    return Finding("settings", f"set are {', '.join(given)}" if given else "all are defaults")


def check_clocks(told: ReportedSettings, now: datetime) -> Finding:
    """The gateway's clock against this machine's."""
    seconds = abs(told.time - now).total_seconds()
    if seconds > MAX_CLOCK_SKEW.total_seconds():
        return Finding("clock", f"the gateway's is {seconds:.0f} s from this machine's", SET_CLOCK)
    return Finding("clock", f"{told.time:%Y-%m-%d %H:%M:%S} UTC, as this machine's")


def check_its_prices(prices: Prices, now: datetime) -> Iterator[Finding]:
    """How old its catalogue is, and whether its file of own prices is in force."""
    own = f", with those of {prices.own_file}" if prices.own_file else ""
    yield catalogue_age(prices.version, prices.checked, own, now)
    for fault in prices.faults:
        yield Finding("prices", fault, FIX_PRICES)


def check_its_folder(data: Path, local: bool) -> Iterator[Finding]:
    """Its data folder; the disk only if it is of this machine. Whether this user may write there does not
    matter."""
    if not local:
        yield Finding("data folder", f"{data}, on the gateway's machine")
        return
    yield Finding("data folder", f"{data}, in use by the gateway")
    # Another user's folder may not even be seen.
    with suppress(OSError):
        yield check_disk_space(data)
        yield from check_in_use(data, runs_here=True)
