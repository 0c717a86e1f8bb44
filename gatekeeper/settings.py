"""The settings in effect, and where each came from.

The order is flag, environment, TOML file, default; a variable that is set but empty counts as unset. The
table is in `setting_definitions`.
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple, cast

from gatekeeper import setting_parsers
from gatekeeper.addresses import Network, is_loopback
from gatekeeper.google_key import GoogleKey, GoogleKeyError, numbered, read_key_tables
from gatekeeper.setting_definitions import SETTINGS, Setting
from gatekeeper.suggestions import did_you_mean

DEFAULT_FILE = "gatekeeper.toml"


# In the data folder.
OWN_PRICES = "prices.toml"


class OwnPrices(NamedTuple):
    """A file of the user's own prices. One that is set, `instead_of` that of the data folder, must exist."""

    file: Path
    instead_of: Path | None = None

    def __str__(self) -> str:
        """For people: which file is read, and which is not."""
        if not self.file.exists():
            return f"none (there is no {self.file})"
        unread = self.instead_of if self.instead_of and self.instead_of.exists() else None
        return str(self.file) if unread is None else f"{self.file} ({unread} is not read)"

    def found(self) -> str | None:
        """Its absolute path; None if there is no such file."""
        return str(self.file.absolute()) if self.file.exists() else None


class SettingError(ValueError):
    """A setting that does not parse, is unknown, or conflicts with another. A message of one line."""


@dataclass(frozen=True)
class Settings:
    """All settings in effect. `sources` tells for each name where its value came from."""

    host: str
    port: int
    data: Path
    prices: Path | None
    tls_cert: Path | None
    tls_key: Path | None
    public_url: str | None
    trusted_proxies: tuple[Network, ...] | None
    allowed_origins: tuple[str, ...] | None
    upstream: str
    sandbox: bool
    gemini_api_key: tuple[str, ...] | None = field(repr=False)
    google_keys: tuple[GoogleKey, ...] | None = field(repr=False)
    master_key: str | None = field(repr=False)
    database_url: str | None = field(repr=False)
    timezone: str
    max_budget: Decimal | None
    """In USD, of all calls together; as `soft_budget`."""
    soft_budget: Decimal | None
    budget_duration: str | None
    rpm_limit: int | None
    """Of all clients together, as the next two."""
    tpm_limit: int | None
    max_parallel_requests: int | None
    connect_timeout: float
    first_byte_timeout: float
    read_timeout: float
    drain_timeout: float
    on_disconnect: str
    unowned: str
    poll_pending: float | None
    sources: Mapping[str, str]

    @property
    def open_mode(self) -> bool:
        return self.master_key is None

    @property
    def own_google_keys(self) -> tuple[GoogleKey, ...]:
        """All Google keys that are set: those of the file's tables, then those of which only the secret is
        known, unless a table has it."""
        tables = self.google_keys or ()
        known = {key.secret for key in tables}
        plain = numbered(self.gemini_api_key or ())
        return (*tables, *(key for key in plain if key.secret not in known))

    @property
    def mode(self) -> str:
        """How clients authenticate, as `GET /` shows it."""
        return "open" if self.open_mode else "master key"

    @property
    def scheme(self) -> str:
        return "https" if self.tls_cert else "http"

    @property
    def own_prices(self) -> OwnPrices:
        """Where the user's own prices are: the file that is set, else that of the data folder. Only one is
        read."""
        if self.prices is not None:
            return OwnPrices(self.prices, instead_of=self.data / OWN_PRICES)
        return OwnPrices(self.data / OWN_PRICES)

    @property
    def keys_file(self) -> Path:
        """The SQLite file of the virtual keys."""
        if self.database_url:
            return Path(self.database_url.removeprefix("sqlite:///"))
        return self.data / "keys.sqlite"


def load(flags: Mapping[str, object], environ: Mapping[str, str], config: Path | None = None) -> Settings:
    """Settings from the four sources. `flags` are the command line's options (None: not given).

    Raises SettingError that names the setting, its value (unless secret), where it was set and what is
    allowed; also for an unknown key of the file, for open mode on an address that others can reach, and
    for a certificate without its key.
    """
    file, table = _read_file(config)
    found: dict[str, Any] = {}
    sources: dict[str, str] = {}
    for setting in SETTINGS:
        # They have no form as text, which the other sources need.
        if setting.is_tables and setting.name in table:
            found[setting.name] = _read_tables(setting, table[setting.name], environ, file)
            sources[setting.name] = str(file)
            continue
        text, source = _find(setting, flags, environ, table, file)
        found[setting.name] = None if text is None else parse_setting(setting, text, source)
        sources[setting.name] = source
    # Sandbox and real spend never share a data folder; only the default changes, an explicit one is kept.
    if found["sandbox"] and sources["data"] == "default":
        found["data"] = setting_parsers.folder(setting_parsers.SANDBOX_FOLDER)
    settings = Settings(**found, sources=sources)
    _check_open_mode(settings)
    _check_tls(settings)
    return settings


def _read_file(config: Path | None) -> tuple[Path, dict[str, object]]:
    file = config or Path(DEFAULT_FILE)
    if config is None and not file.exists():
        return file, {}
    try:
        table = tomllib.loads(file.read_text(encoding="utf-8"))
    except OSError as problem:
        where = "" if config is None else "; set by --config"
        raise SettingError(f"{file}: cannot be read ({problem.strerror}){where}") from None
    except ValueError as problem:  # invalid TOML or UTF-8, or an integer with too many digits
        raise SettingError(f"{file}: is not valid TOML: {problem}") from None
    except RecursionError:
        raise SettingError(f"{file}: is not valid TOML: nested too deeply") from None
    names = [setting.name for setting in SETTINGS]
    for name in table:
        if name not in names:
            known = did_you_mean(name, names)
            meant = f"{known} " if known else ""
            raise SettingError(f"{name}: unknown setting in {file}; {meant}allowed are {', '.join(names)}")
    return file, table


def _read_tables(
    setting: Setting, value: object, environ: Mapping[str, str], file: Path
) -> tuple[GoogleKey, ...]:
    try:
        return read_key_tables(setting.name, value, environ, file.parent)
    except GoogleKeyError as error:
        raise SettingError(
            f"{error.member}: {error.shown} (set by {file}) is not allowed; it takes {error.allowed}"
        ) from None


def _find(
    setting: Setting,
    flags: Mapping[str, object],
    environ: Mapping[str, str],
    table: Mapping[str, object],
    file: Path,
) -> tuple[str | None, str]:
    flag = flags.get(setting.name)
    if flag is not None:
        return str(flag), f"--{setting.name.replace('_', '-')}"
    for variable in setting.environment:
        # Empty counts as unset: shells and compose files unset a variable by `GEMINI_API_KEY=`.
        if environ.get(variable, "").strip():
            return environ[variable].strip(), variable
    if setting.name in table:
        return _toml_text(setting, table[setting.name], file), str(file)
    return setting.default, "default"


def _toml_text(setting: Setting, value: object, file: Path) -> str:
    if isinstance(value, bool | int | float | str):
        return str(value)
    if setting.is_list and (texts := _texts(value)):
        return ",".join(texts)
    allowed = "a string, or a list of strings" if setting.is_list else "a string, a number or true/false"
    raise _setting_error(setting, value, str(file), allowed)


def _texts(value: object) -> list[str]:
    """The items of a list of strings; empty for anything else."""
    items = cast("list[object]", value) if isinstance(value, list) else []
    texts = [item for item in items if isinstance(item, str)]
    return texts if len(texts) == len(items) else []


def parse_setting(setting: Setting, text: str, source: str) -> object:
    """Its value; `source` says where the text came from. Raises SettingError."""
    try:
        return setting.parse(text)
    except ValueError as allowed:
        raise _setting_error(setting, text, source, str(allowed)) from None


def _setting_error(setting: Setting, value: object, source: str, allowed: str) -> SettingError:
    """The value is shown unless it is a secret, or may be a URL with a password."""
    # A mistyped secret still contains most of the secret.
    shown = "the value" if setting.secret or "@" in str(value) else repr(value)
    return SettingError(f"{setting.name}: {shown} (set by {source}) is not allowed; it takes {allowed}")


def _check_open_mode(settings: Settings) -> None:
    if settings.open_mode and not is_loopback(settings.host):
        raise SettingError(
            f"host: {settings.host!r} (set by {settings.sources['host']}) is not allowed without a master "
            "key: whoever reaches it could use the Google key. Set GATEKEEPER_MASTER_KEY, or listen on "
            "127.0.0.1"
        )
    if settings.open_mode and setting_parsers.ANY_ORIGIN in (settings.allowed_origins or ()):
        raise SettingError(
            f"allowed_origins: '*' (set by {settings.sources['allowed_origins']}) is not allowed without a "
            "master key: any page on the web could use the Google key. Set GATEKEEPER_MASTER_KEY, or name "
            "the origins"
        )


def _check_tls(settings: Settings) -> None:
    if (settings.tls_cert is None) is (settings.tls_key is None):
        return
    given, missing = ("tls_cert", "tls_key") if settings.tls_cert else ("tls_key", "tls_cert")
    raise SettingError(
        f"{missing}: not set, but {given} is (by {settings.sources[given]}): TLS needs both; set "
        f"GATEKEEPER_{missing.upper()}, to the same file if it holds certificate and key"
    )


def masked(setting: Setting, value: object) -> str | None:
    """The value as `gatekeeper config` shows it: of a secret only that it is set, and its last characters if
    it is long enough."""
    if value is None:
        return None
    values = cast("tuple[object, ...]", value if isinstance(value, tuple) else (value,))
    return ", ".join(_shown(each, setting.secret) for each in values)


def _shown(value: object, secret: bool) -> str:
    if isinstance(value, GoogleKey):
        return f"{value.label} {_masked(value.secret)} (project {value.project})"
    if isinstance(value, bool | float):
        # As TOML writes it.
        return json.dumps(value).removesuffix(".0")
    return _masked(str(value)) if secret else str(value)


def _masked(secret: str) -> str:
    return f"…{secret[-4:]}" if len(secret) >= 16 else "…"
