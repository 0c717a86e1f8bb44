"""Every setting: its name, where it may be set, what is allowed, and what it means.

The order is flag, environment, TOML file, default; a variable that is set but empty counts as unset. The
table `SETTINGS` is the one place: the command line, `gatekeeper config` and the README's table follow it.
"""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, cast

from gatekeeper import values
from gatekeeper.addresses import is_loopback

DEFAULT_FILE = "gatekeeper.toml"


class SettingError(ValueError):
    """A setting that does not parse, is unknown, or cannot be together with another. One line, for people."""


class Setting(NamedTuple):
    """One row: `environment` lists the variables, the first is the proper one; `parse` raises ValueError
    with what is allowed; `several`: the file may give a list of texts."""

    name: str
    environment: tuple[str, ...]
    default: str | None
    parse: Callable[[str], object]
    meaning: str
    secret: bool = False
    several: bool = False


SETTINGS: tuple[Setting, ...] = (
    Setting("host", ("GATEKEEPER_HOST",), "127.0.0.1", values.host, "address to listen on"),
    Setting("port", ("GATEKEEPER_PORT",), "4000", values.port, "port to listen on"),
    Setting(
        "data",
        ("GATEKEEPER_DATA",),
        "./data",
        values.folder,
        f"folder of keys, journal and analytics file; the sandbox has {values.SANDBOX_FOLDER}",
    ),
    Setting("upstream", ("GEMINI_API_BASE",), values.GOOGLE, values.url, "the API behind /gemini"),
    Setting("sandbox", (), "false", values.switch, "put the built-in simulated Gemini API behind /gemini"),
    Setting(
        "gemini_api_key",
        ("GEMINI_API_KEY", "GOOGLE_API_KEY"),
        None,
        values.keys,
        "Google key, or several with commas",
        secret=True,
        several=True,
    ),
    Setting(
        "master_key",
        ("GATEKEEPER_MASTER_KEY", "LITELLM_MASTER_KEY"),
        None,
        values.secret,
        "admin key; unset is open mode",
        secret=True,
    ),
    Setting("database_url", ("DATABASE_URL",), None, values.database, "where virtual keys live", secret=True),
    Setting("timezone", ("GATEKEEPER_TIMEZONE",), "UTC", values.timezone, "zone of days and hours in /spend"),
    Setting(
        "connect_timeout",
        ("GATEKEEPER_CONNECT_TIMEOUT",),
        "10",
        values.seconds,
        "seconds to connect to the upstream",
    ),
    Setting(
        "first_byte_timeout",
        ("GATEKEEPER_FIRST_BYTE_TIMEOUT",),
        "600",
        values.seconds,
        "seconds to the first byte of an answer",
    ),
    Setting(
        "read_timeout",
        ("GATEKEEPER_READ_TIMEOUT",),
        "300",
        values.seconds,
        "seconds between two chunks of an answer",
    ),
    Setting(
        "drain_timeout",
        ("GATEKEEPER_DRAIN_TIMEOUT",),
        "30",
        values.seconds,
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


def load(flags: Mapping[str, object], environ: Mapping[str, str], config: Path | None = None) -> Settings:
    """Settings from the four places. `flags` holds what was given on the command line (None: not given).

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
    # Play and real money never share a folder; only the default moves, what was asked for stays.
    if found["sandbox"] and sources["data"] == "default":
        found["data"] = values.folder(values.SANDBOX_FOLDER)
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
    except ValueError as problem:  # of tomllib, for UTF-8, or an integer that has no end
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
        # Empty counts as unset: `GEMINI_API_KEY= gatekeeper serve` means none, in every shell and compose
        # file.
        if environ.get(variable, "").strip():
            return environ[variable].strip(), variable
    if setting.name in table:
        return _toml_text(setting, table[setting.name], file), str(file)
    return setting.default, "default"


def _toml_text(setting: Setting, value: object, file: Path) -> str:
    if isinstance(value, bool | int | float | str):
        return str(value)
    if setting.several and (texts := _texts(value)):
        return ",".join(texts)
    allowed = "text, or a list of texts" if setting.several else "text, a number or true/false"
    raise _refused(setting, value, str(file), allowed)


def _texts(value: object) -> list[str]:
    """The members of a list of texts; none of anything else."""
    items = cast("list[object]", value) if isinstance(value, list) else []
    texts = [item for item in items if isinstance(item, str)]
    return texts if len(texts) == len(items) else []


def _parse(setting: Setting, text: str, source: str) -> object:
    try:
        return setting.parse(text)
    except ValueError as allowed:
        raise _refused(setting, text, source, str(allowed)) from None


def _refused(setting: Setting, value: object, source: str, allowed: str) -> SettingError:
    """The value is shown unless it is a secret, or could be a URL with a password in it."""
    # A secret that is mistyped is still most of a secret.
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
    """The value as `gatekeeper config` shows it: of a secret only that it is set, and its last characters
    where it is long enough for them to give nothing away."""
    if value is None:
        return None
    if not setting.secret:
        return str(value)
    texts = cast("tuple[str, ...]", value if isinstance(value, tuple) else (value,))
    return ", ".join(f"…{text[-4:]}" if len(text) >= 16 else "…" for text in texts)
