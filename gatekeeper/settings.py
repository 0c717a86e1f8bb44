"""Every setting: its name, its sources, its parser, and its meaning.

The order is flag, environment, TOML file, default; a variable that is set but empty counts as unset. The
table `SETTINGS` is the only definition: command line, `gatekeeper config` and the README's table follow it.
"""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, cast

from gatekeeper import setting_parsers
from gatekeeper.addresses import is_loopback

DEFAULT_FILE = "gatekeeper.toml"


class SettingError(ValueError):
    """A setting that does not parse, is unknown, or conflicts with another. A message of one line."""


class Setting(NamedTuple):
    """One row: `environment` lists the variables, the preferred one first; `parse` raises ValueError with
    what is allowed; `is_list`: the file may give a list of strings."""

    name: str
    environment: tuple[str, ...]
    default: str | None
    parse: Callable[[str], object]
    meaning: str
    secret: bool = False
    is_list: bool = False


SETTINGS: tuple[Setting, ...] = (
    Setting("host", ("GATEKEEPER_HOST",), "127.0.0.1", setting_parsers.host, "address to listen on"),
    Setting("port", ("GATEKEEPER_PORT",), "4000", setting_parsers.port, "port to listen on"),
    Setting(
        "data",
        ("GATEKEEPER_DATA",),
        "./data",
        setting_parsers.folder,
        f"folder of keys, journal and analytics file; the sandbox has {setting_parsers.SANDBOX_FOLDER}",
    ),
    Setting(
        "upstream",
        ("GEMINI_API_BASE",),
        setting_parsers.GOOGLE_API_URL,
        setting_parsers.url,
        "the API behind /gemini",
    ),
    Setting(
        "sandbox",
        (),
        "false",
        setting_parsers.boolean,
        "put the built-in simulated Gemini API behind /gemini",
    ),
    Setting(
        "gemini_api_key",
        ("GEMINI_API_KEY", "GOOGLE_API_KEY"),
        None,
        setting_parsers.keys,
        "Google API key, or several separated by commas",
        secret=True,
        is_list=True,
    ),
    Setting(
        "master_key",
        ("GATEKEEPER_MASTER_KEY", "LITELLM_MASTER_KEY"),
        None,
        setting_parsers.secret,
        "admin key; unset is open mode",
        secret=True,
    ),
    Setting(
        "database_url",
        ("DATABASE_URL",),
        None,
        setting_parsers.database_url,
        "where virtual keys are stored",
        secret=True,
    ),
    Setting(
        "timezone",
        ("GATEKEEPER_TIMEZONE",),
        "UTC",
        setting_parsers.timezone,
        "time zone of days and hours in /spend",
    ),
    Setting(
        "connect_timeout",
        ("GATEKEEPER_CONNECT_TIMEOUT",),
        "10",
        setting_parsers.seconds,
        "seconds to connect to the upstream",
    ),
    Setting(
        "first_byte_timeout",
        ("GATEKEEPER_FIRST_BYTE_TIMEOUT",),
        "600",
        setting_parsers.seconds,
        "seconds to the first byte of a response",
    ),
    Setting(
        "read_timeout",
        ("GATEKEEPER_READ_TIMEOUT",),
        "300",
        setting_parsers.seconds,
        "seconds between two chunks of a response",
    ),
    Setting(
        "drain_timeout",
        ("GATEKEEPER_DRAIN_TIMEOUT",),
        "30",
        setting_parsers.seconds,
        "seconds to wait for open calls at shutdown",
    ),
)


@dataclass(frozen=True)
class Settings:
    """All settings in effect. `sources` tells for each name where its value came from."""

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
        """How clients authenticate, as `GET /` shows it."""
        return "open" if self.open_mode else "master key"

    @property
    def keys_file(self) -> Path:
        """The SQLite file of the virtual keys."""
        if self.database_url:
            return Path(self.database_url.removeprefix("sqlite:///"))
        return self.data / "keys.sqlite"


def load(flags: Mapping[str, object], environ: Mapping[str, str], config: Path | None = None) -> Settings:
    """Settings from the four sources. `flags` are the command line's options (None: not given).

    Raises SettingError that names the setting, its value (unless secret), where it was set and what is
    allowed; also for an unknown key of the file, and for open mode on an address that others can reach.
    """
    file, table = _read_file(config)
    found: dict[str, Any] = {}
    sources: dict[str, str] = {}
    for setting in SETTINGS:
        text, source = _find(setting, flags, environ, table, file)
        found[setting.name] = None if text is None else _parse(setting, text, source)
        sources[setting.name] = source
    # Sandbox and real spend never share a data folder; only the default changes, an explicit one is kept.
    if found["sandbox"] and sources["data"] == "default":
        found["data"] = setting_parsers.folder(setting_parsers.SANDBOX_FOLDER)
    settings = Settings(**found, sources=sources)
    _check_open_mode(settings)
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
    names = [setting.name for setting in SETTINGS]
    for name in table:
        if name not in names:
            raise SettingError(f"{name}: unknown setting in {file}; allowed are {', '.join(names)}")
    return file, table


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


def _parse(setting: Setting, text: str, source: str) -> object:
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


def masked(setting: Setting, value: object) -> str | None:
    """The value as `gatekeeper config` shows it: of a secret only that it is set, and its last characters if
    it is long enough."""
    if value is None:
        return None
    if not setting.secret:
        return str(value)
    texts = cast("tuple[str, ...]", value if isinstance(value, tuple) else (value,))
    return ", ".join(f"…{text[-4:]}" if len(text) >= 16 else "…" for text in texts)
