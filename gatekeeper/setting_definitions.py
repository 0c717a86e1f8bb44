"""Every setting: its name, its sources, its parser, and its meaning.

This table is the only definition: command line, `gatekeeper config` and docs/settings.md follow it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from gatekeeper import setting_parsers


class Setting(NamedTuple):
    """One row: `environment` lists the variables, the preferred one first; `parse` raises ValueError with
    what is allowed; `is_list`: the file may give a list of strings; `is_tables`: only the file has it, as an
    array of tables (`google_key`)."""

    name: str
    environment: tuple[str, ...]
    default: str | None
    parse: Callable[[str], object]
    meaning: str
    secret: bool = False
    is_list: bool = False
    is_tables: bool = False


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
        "prices",
        ("GATEKEEPER_PRICES",),
        None,
        setting_parsers.file,
        "price file whose prices override the built-in ones; unset: prices.toml in the data folder, if there",
    ),
    Setting(
        "tls_cert",
        ("GATEKEEPER_TLS_CERT",),
        None,
        setting_parsers.file,
        "PEM file of the certificate and its chain, for TLS; read again when it changes",
    ),
    Setting(
        "tls_key",
        ("GATEKEEPER_TLS_KEY",),
        None,
        setting_parsers.file,
        "PEM file of its private key",
    ),
    Setting(
        "public_url",
        ("GATEKEEPER_PUBLIC_URL",),
        None,
        setting_parsers.public_url,
        "address by which clients reach this gateway, if not the one of their requests",
    ),
    Setting(
        "trusted_proxies",
        ("GATEKEEPER_TRUSTED_PROXIES",),
        None,
        setting_parsers.networks,
        "addresses and networks of reverse proxies whose forwarding headers count",
        is_list=True,
    ),
    Setting(
        "allowed_origins",
        ("GATEKEEPER_ALLOWED_ORIGINS",),
        None,
        setting_parsers.origins,
        "origins whose web pages may use /gemini (CORS), such as `https://app.example`; `*` is any",
        is_list=True,
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
        "google_keys",
        (),
        None,
        setting_parsers.tables_only,
        "Google keys as tables `[[google_keys]]` of the file, beside those of `gemini_api_key`",
        secret=True,
        is_tables=True,
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
        "time zone of days and hours in /spend, and of the periods of budgets",
    ),
    Setting(
        "max_budget",
        ("GATEKEEPER_MAX_BUDGET",),
        None,
        setting_parsers.dollars,
        "budget in USD of all calls together; calls above it are refused",
    ),
    Setting(
        "soft_budget",
        ("GATEKEEPER_SOFT_BUDGET",),
        None,
        setting_parsers.dollars,
        "budget in USD of all calls together that only warns",
    ),
    Setting(
        "budget_duration",
        ("GATEKEEPER_BUDGET_DURATION",),
        None,
        setting_parsers.budget_duration,
        "period of these budgets, such as 1mo; unset: it never ends",
    ),
    Setting(
        "rpm_limit",
        ("GATEKEEPER_RPM_LIMIT",),
        None,
        setting_parsers.count,
        "requests a minute of all clients together; unset: no limit",
    ),
    Setting(
        "tpm_limit",
        ("GATEKEEPER_TPM_LIMIT",),
        None,
        setting_parsers.count,
        "tokens a minute of all clients together; unset: no limit",
    ),
    Setting(
        "max_parallel_requests",
        ("GATEKEEPER_MAX_PARALLEL_REQUESTS",),
        None,
        setting_parsers.count,
        "calls at a time of all clients together; unset: no limit",
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
    Setting(
        "on_disconnect",
        ("GATEKEEPER_ON_DISCONNECT",),
        "cancel",
        setting_parsers.on_disconnect,
        "when a client leaves: `cancel` the call, or `finish` it without the client, for the exact cost",
    ),
    Setting(
        "unowned",
        ("GATEKEEPER_UNOWNED",),
        "allow",
        setting_parsers.unowned,
        "files, caches, batches … that no call through the gateway has made: `allow` them to keys, or `deny`",
    ),
    Setting(
        "poll_pending",
        ("GATEKEEPER_POLL_PENDING",),
        None,
        setting_parsers.seconds,
        "seconds between polls of batches and videos that are not charged yet; unset: no polling",
    ),
)
