"""Every setting: its name, where it may be set, what is allowed, and what it means.

The order is flag, environment, TOML file, default; a variable that is set but empty counts as unset. The
table `SETTINGS` is the one place: the command line, `gatekeeper config` and the README's table follow it.
"""

from __future__ import annotations

import ipaddress
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

DEFAULT_FILE = "gatekeeper.toml"
GOOGLE = "https://generativelanguage.googleapis.com"


class SettingError(ValueError):
    """A setting that does not parse, is unknown, or cannot be together with another. One line, for people."""


def _host(text: str) -> str:
    if not text or any(c.isspace() or c in "/@?#" for c in text):
        raise ValueError("an address or host name, such as 127.0.0.1")
    return text


def _port(text: str) -> int:
    if not text.isascii() or not text.isdigit() or not 0 < int(text) < 65536:
        raise ValueError("a whole number from 1 to 65535")
    return int(text)


def _seconds(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 < value <= 86400:
        raise ValueError("seconds, more than 0 and at most 86400")
    return value


def _upstream(text: str) -> str:
    allowed = f"an http:// or https:// URL without query, such as {GOOGLE}"
    try:
        url = urlsplit(text)
        good = url.scheme in ("http", "https") and bool(url.hostname) and (url.port or 1) > 0
    except ValueError:
        raise ValueError(allowed) from None
    if not good or url.query or url.fragment or url.username is not None:
        raise ValueError(allowed)
    return text.rstrip("/")


def _keys(text: str) -> tuple[str, ...]:
    keys = tuple(key.strip() for key in text.split(",") if key.strip())
    if not keys or not all(key.isascii() and key.isprintable() and " " not in key for key in keys):
        raise ValueError("one key, or several separated by commas, printable and without blanks")
    return keys


def _secret(text: str) -> str:
    if not text.isascii() or not text.isprintable() or text.strip() != text:
        raise ValueError("printable ASCII characters without blanks around them")
    return text


def _database(text: str) -> str:
    if text.startswith(("postgresql://", "postgres://")):
        raise ValueError(
            "sqlite:///PATH or nothing at all; Postgres is not built yet, keys live in the data folder"
        )
    if not text.startswith("sqlite:///") or text == "sqlite:///":
        raise ValueError("sqlite:///PATH, or unset for the data folder's own database")
    return text


def _timezone(text: str) -> str:
    try:
        return ZoneInfo(text).key
    except (ValueError, OSError, KeyError):
        raise ValueError("an IANA time zone, such as UTC or Europe/Berlin") from None


def _switch(text: str) -> bool:
    known = {
        "1": True,
        "true": True,
        "yes": True,
        "on": True,
        "0": False,
        "false": False,
        "no": False,
        "off": False,
    }
    if text.lower() not in known:
        raise ValueError("true or false")
    return known[text.lower()]


class Setting(NamedTuple):
    """One row: `environment` lists the variables, the first is the proper one; `parse` raises ValueError
    with what is allowed."""

    name: str
    environment: tuple[str, ...]
    default: str | None
    parse: Callable[[str], object]
    meaning: str
    secret: bool = False


SETTINGS: tuple[Setting, ...] = (
    Setting("host", ("GATEKEEPER_HOST",), "127.0.0.1", _host, "address to listen on"),
    Setting("port", ("GATEKEEPER_PORT",), "4000", _port, "port to listen on"),
    Setting("data", ("GATEKEEPER_DATA",), "./data", Path, "folder of keys, journal and analytics file"),
    Setting("upstream", ("GEMINI_API_BASE",), GOOGLE, _upstream, "the API behind /gemini"),
    Setting("sandbox", (), "false", _switch, "put the built-in simulated Gemini API behind /gemini"),
    Setting(
        "gemini_api_key",
        ("GEMINI_API_KEY", "GOOGLE_API_KEY"),
        None,
        _keys,
        "Google key, or several with commas",
        True,
    ),
    Setting(
        "master_key",
        ("GATEKEEPER_MASTER_KEY", "LITELLM_MASTER_KEY"),
        None,
        _secret,
        "admin key; unset is open mode",
        True,
    ),
    Setting("database_url", ("DATABASE_URL",), None, _database, "where virtual keys live", True),
    Setting("timezone", ("GATEKEEPER_TIMEZONE",), "UTC", _timezone, "zone of days and hours in /spend"),
    Setting(
        "connect_timeout",
        ("GATEKEEPER_CONNECT_TIMEOUT",),
        "10",
        _seconds,
        "seconds to connect to the upstream",
    ),
    Setting(
        "first_byte_timeout",
        ("GATEKEEPER_FIRST_BYTE_TIMEOUT",),
        "600",
        _seconds,
        "seconds to the first byte of an answer",
    ),
    Setting(
        "read_timeout",
        ("GATEKEEPER_READ_TIMEOUT",),
        "300",
        _seconds,
        "seconds between two chunks of an answer",
    ),
    Setting(
        "drain_timeout",
        ("GATEKEEPER_DRAIN_TIMEOUT",),
        "30",
        _seconds,
        "seconds that open calls get at a stop",
    ),
)


@dataclass(frozen=True)
class Settings:
    """All settings in force. `sources` tells for each name where its value came from."""

    host: str
    port: int
    data: Path
    upstream: str
    sandbox: bool
    gemini_api_key: tuple[str, ...] | None = field(repr=False)
    master_key: str | None = field(repr=False)
    database_url: str | None = field(repr=False)
    timezone: str
    connect_timeout: float
    first_byte_timeout: float
    read_timeout: float
    drain_timeout: float
    sources: Mapping[str, str]

    @property
    def open_mode(self) -> bool:
        return self.master_key is None

    @property
    def mode(self) -> str:
        """How clients are told apart, in words that the start-up block and `GET /` share."""
        return "open" if self.open_mode else "master key"

    @property
    def keys_file(self) -> Path:
        """The SQLite file of the virtual keys."""
        if self.database_url:
            return Path(self.database_url.removeprefix("sqlite:///"))
        return self.data / "keys.sqlite"


def load(flags: Mapping[str, Any], environ: Mapping[str, str], config: Path | None = None) -> Settings:
    """Settings from the four places. `flags` holds what was given on the command line (None: not given).

    Raises SettingError that names the setting, its value (unless secret), where it was set and what is
    allowed; also for an unknown key of the file, and for open mode on an address that others can reach.
    """
    file, table = _read_file(config)
    values: dict[str, Any] = {}
    sources: dict[str, str] = {}
    for setting in SETTINGS:
        text, source = _find(setting, flags, environ, table, file)
        values[setting.name] = None if text is None else _parse(setting, text, source)
        sources[setting.name] = source
    settings = Settings(**values, sources=sources)
    _check_open_mode(settings)
    return settings


def _read_file(config: Path | None) -> tuple[Path, dict[str, Any]]:
    file = config or Path(DEFAULT_FILE)
    if config is None and not file.exists():
        return file, {}
    try:
        table = tomllib.loads(file.read_text(encoding="utf-8"))
    except OSError as problem:
        raise SettingError(f"{file}: cannot be read ({problem.strerror}); set by --config") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as problem:
        raise SettingError(f"{file}: is not valid TOML: {problem}") from None
    names = [setting.name for setting in SETTINGS]
    for name in table:
        if name not in names:
            raise SettingError(f"{name}: unknown setting in {file}; allowed are {', '.join(names)}")
    return file, table


def _find(
    setting: Setting,
    flags: Mapping[str, Any],
    environ: Mapping[str, str],
    table: Mapping[str, Any],
    file: Path,
) -> tuple[str | None, str]:
    flag = flags.get(setting.name)
    if flag is not None:
        return str(flag), f"--{setting.name.replace('_', '-')}"
    for variable in setting.environment:
        if environ.get(variable, "").strip():
            return environ[variable].strip(), variable
    if setting.name in table:
        return _toml_text(setting, table[setting.name], file), str(file)
    return setting.default, "default"


def _toml_text(setting: Setting, value: object, file: Path) -> str:
    if isinstance(value, list):
        return ",".join(str(item) for item in value)  # pyright: ignore[reportUnknownArgumentType, reportUnknownVariableType]
    if isinstance(value, bool | int | float | str):
        return str(value)
    raise SettingError(f"{setting.name}: must be text, a number or true/false, not {value!r} (set in {file})")


def _parse(setting: Setting, text: str, source: str) -> object:
    try:
        return setting.parse(text)
    except ValueError as allowed:
        shown = "the value" if setting.secret else repr(text)
        raise SettingError(
            f"{setting.name}: {shown} (set by {source}) is not allowed; it takes {allowed}"
        ) from None


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach the address."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def _check_open_mode(settings: Settings) -> None:
    if settings.open_mode and not is_loopback(settings.host):
        raise SettingError(
            f"host: {settings.host!r} (set by {settings.sources['host']}) is not allowed without a master key: "
            "whoever reaches it could use the Google key. Set GATEKEEPER_MASTER_KEY, or listen on 127.0.0.1"
        )


def masked(setting: Setting, value: object) -> str | None:
    """The value as `gatekeeper config` shows it: of a secret only that it is set, and its last characters
    where it is long enough for them to give nothing away."""
    if value is None:
        return None
    if not setting.secret:
        return str(value)
    texts = value if isinstance(value, tuple) else (value,)  # pyright: ignore[reportUnknownVariableType]
    return ", ".join(f"…{str(text)[-4:]}" if len(str(text)) >= 16 else "…" for text in texts)  # pyright: ignore[reportUnknownArgumentType, reportUnknownVariableType]
