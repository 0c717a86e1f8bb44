"""Where a setting comes from, what it may be, and what a person is told when it may not."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rig.cases import cases

from gatekeeper import setting_parsers
from gatekeeper.addresses import is_loopback
from gatekeeper.settings import SETTINGS, SettingError, Settings, load, masked

BY_NAME = {setting.name: setting for setting in SETTINGS}
SECRET = "sk-do-not-show-this-one"

File = Callable[[str], Path]


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The current folder has no settings file of somebody's own."""
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def file(tmp_path: Path) -> File:
    def written(text: str) -> Path:
        path = tmp_path / "some.toml"
        path.write_text(text, encoding="utf-8")
        return path

    return written


def refusal(flags: dict[str, Any], environ: dict[str, str], config: Path | None = None) -> str:
    with pytest.raises(SettingError) as refused:
        load(flags, environ, config)
    return str(refused.value)


# Where from


def test_the_defaults_are_the_contracts() -> None:
    settings = load({}, {})
    assert settings.host == "127.0.0.1"
    assert settings.port == 4000
    assert settings.data == Path("data")
    assert settings.upstream == "https://generativelanguage.googleapis.com"
    assert settings.sandbox is False
    assert settings.gemini_api_key is None
    assert settings.timezone == "UTC"
    assert (settings.open_mode, settings.mode) == (True, "open")
    assert set(settings.sources.values()) == {"default"}
    assert settings.sources.keys() == BY_NAME.keys()


def test_the_order_is_flag_environment_file_default(file: File) -> None:
    config = file("port = 4001\nhost = 'localhost'\ntimezone = 'Europe/Berlin'")
    environ = {"GATEKEEPER_PORT": "4002", "GATEKEEPER_HOST": "::1"}
    settings = load({"port": 4003, "host": None}, environ, config)
    assert (settings.port, settings.host, settings.timezone) == (4003, "::1", "Europe/Berlin")
    assert settings.sources["port"] == "--port"
    assert settings.sources["host"] == "GATEKEEPER_HOST"
    assert settings.sources["timezone"] == str(config)
    assert settings.sources["data"] == "default"


@pytest.mark.parametrize("empty", ["", " ", "\t\n"])
def test_an_empty_variable_counts_as_unset(empty: str, file: File) -> None:
    environ = {"GATEKEEPER_PORT": empty, "GEMINI_API_KEY": empty, "GOOGLE_API_KEY": "AIza1"}
    settings = load({}, {**environ, "GATEKEEPER_MASTER_KEY": empty}, file("port = 4001"))
    assert settings.port == 4001
    assert settings.gemini_api_key == ("AIza1",)
    assert settings.master_key is None


@cases(
    ("variable", "text", "name", "value"),
    [
        ("GEMINI_API_KEY", "AIza1, AQ.2 ,", "gemini_api_key", ("AIza1", "AQ.2")),
        ("GOOGLE_API_KEY", "AIza1", "gemini_api_key", ("AIza1",)),
        ("GATEKEEPER_MASTER_KEY", " sk-1234 ", "master_key", "sk-1234"),
        ("LITELLM_MASTER_KEY", "sk-1234", "master_key", "sk-1234"),
        ("GEMINI_API_BASE", "http://127.0.0.1:4001/", "upstream", "http://127.0.0.1:4001"),
        ("GATEKEEPER_DATA", "/var/lib/gatekeeper", "data", Path("/var/lib/gatekeeper")),
        ("GATEKEEPER_HOST", "localhost", "host", "localhost"),
        ("GATEKEEPER_PORT", "80", "port", 80),
        ("DATABASE_URL", "sqlite:////srv/keys.db", "keys_file", Path("/srv/keys.db")),
        ("GATEKEEPER_TIMEZONE", "Asia/Tokyo", "timezone", "Asia/Tokyo"),
        ("GATEKEEPER_READ_TIMEOUT", "2.5", "read_timeout", 2.5),
    ],
)
def test_a_variable_sets_it(variable: str, text: str, name: str, value: object) -> None:
    assert getattr(load({}, {variable: text}), name) == value


def test_of_two_variables_the_proper_one_wins() -> None:
    environ = {"LITELLM_MASTER_KEY": "old", "GATEKEEPER_MASTER_KEY": "new"}
    assert load({}, environ).master_key == "new"
    environ = {"GOOGLE_API_KEY": "old", "GEMINI_API_KEY": "new"}
    assert load({}, environ).gemini_api_key == ("new",)


def test_keys_live_in_the_data_folder_unless_said_otherwise() -> None:
    assert load({"data": "d"}, {}).keys_file == Path("d/keys.sqlite")


@cases(
    ("flags", "data"),
    [
        ({"sandbox": True}, "data-sandbox"),
        ({"sandbox": False}, "data"),
        ({"sandbox": True, "data": "d"}, "d"),
        ({"sandbox": True, "data": "data"}, "data"),
    ],
)
def test_the_sandbox_has_a_folder_of_its_own(flags: dict[str, Any], data: str) -> None:
    assert load(flags, {}).data == Path(data)
    assert load({"sandbox": True}, {"GATEKEEPER_DATA": "e"}).data == Path("e")


def test_the_file_of_the_current_folder_is_read_unless_another_is_named(file: File) -> None:
    Path("gatekeeper.toml").write_text("port = 4001", encoding="utf-8")
    assert load({}, {}).port == 4001
    assert load({}, {}, file("")).port == 4000


# The file


@cases(
    ("line", "name", "value"),
    [
        ("port = 4000", "port", 4000),
        ('port = "4000"', "port", 4000),
        ("sandbox = true", "sandbox", True),
        ('sandbox = "off"', "sandbox", False),
        ("read_timeout = 90", "read_timeout", 90.0),
        ("read_timeout = 0.5", "read_timeout", 0.5),
        ('gemini_api_key = "a,b"', "gemini_api_key", ("a", "b")),
        ('gemini_api_key = ["a", "b"]', "gemini_api_key", ("a", "b")),
        ('allowed_origins = ["https://a", "http://b:1"]', "allowed_origins", ("https://a", "http://b:1")),
        ('trusted_proxies = ["::1"]', "trusted_proxies", (ip_network("::1"),)),
        ('data = "somewhere"', "data", Path("somewhere")),
    ],
)
def test_toml_types_are_taken_as_they_are_meant(line: str, name: str, value: object, file: File) -> None:
    assert getattr(load({}, {}, file(line)), name) == value


@cases(
    ("line", "told"),
    [
        ("port = true", ["port", "'True'", "a whole number from 1 to 65535"]),
        ("port = 4000.5", ["port", "'4000.5'", "a whole number"]),
        ("port = [4000]", ["port", "[4000]", "a string, a number or true/false"]),
        ('host = ["127.0.0.1"]', ["host", "['127.0.0.1']", "a string, a number or true/false"]),
        ("data = 2026-11-24", ["data", "2026", "a string, a number or true/false"]),
        ('data = ""', ["data", "''", "the path of a folder"]),
        ("[upstream]\nurl = 'x'", ["upstream", "'url'", "a string, a number or true/false"]),
        ("gemini_api_key = []", ["gemini_api_key", "a string, or a list of strings"]),
        ("gemini_api_key = [1]", ["gemini_api_key", "a string, or a list of strings"]),
        ("master_key = ''", ["master_key", "printable ASCII"]),
    ],
)
def test_a_value_of_the_file_that_does_not_do_is_named(line: str, told: list[str], file: File) -> None:
    config = file(line)
    message = refusal({}, {}, config)
    assert [part for part in [*told, str(config)] if part not in message] == []


def test_an_unknown_name_is_an_error_that_lists_what_is_allowed(file: File) -> None:
    for name, meant in (("gemini_apikey", "did you mean gemini_api_key? "), ("nonsense", "")):
        config = file(f'{name} = "{SECRET}"')
        message = refusal({}, {}, config)
        assert message.startswith(f"{name}: unknown setting in {config}; {meant}allowed are ")
        assert message.endswith(", ".join(BY_NAME))
        assert SECRET not in message


@cases(
    "text",
    [
        "port = ",
        'master_key = "' + SECRET,
        f"master_key = {SECRET}",
        "port = 1\nport = 2",
        "port = 1" + "0" * 5000,
        "port = " + "[" * 3000,
    ],
)
def test_a_file_that_is_half_written_is_an_error_that_gives_no_secret_away(text: str, file: File) -> None:
    config = file(text)
    message = refusal({}, {}, config)
    assert message.startswith(f"{config}: is not valid TOML: ")
    assert SECRET not in message


def test_a_file_that_is_no_text_is_an_error(tmp_path: Path) -> None:
    config = tmp_path / "binary.toml"
    config.write_bytes(b"port = \xff")
    assert "is not valid TOML" in refusal({}, {}, config)


def test_a_file_that_was_named_has_to_be_there(tmp_path: Path) -> None:
    assert "set by --config" in refusal({}, {}, tmp_path / "missing.toml")
    Path("gatekeeper.toml").mkdir()
    message = refusal({}, {})
    assert message.startswith("gatekeeper.toml: cannot be read")
    assert "--config" not in message


# What is allowed

SPANS = ["", "0", "-1", "nan", "inf", "86401", "10s"]
REFUSED = {
    "host": [
        *("", "a b", "127.0.0.1/8", "user@host", "127.0.0.1:80", "[::1]:80", "127.0.0.1,::1", "a\nb"),
        *("a..b", ".", "a" * 64, "höst", "[]", "[localhost]", "[127.0.0.1]", "[::1", "::1]", "[[::1]]"),
    ],
    "port": ["0", "65536", "-1", "+80", "4000.0", "٤٠٠٠", "4e3", "1" * 5000, "http"],
    "data": ["", "a\0b"],
    "prices": ["", "a\0b"],
    "tls_cert": ["", "a\0b"],
    "tls_key": ["", "a\0b"],
    "public_url": [
        *(
            "",
            "gateway.example",
            "https://",
            "https://host?",
            "https://host#a",
            "https://u@host",
            "wss://host",
        ),
        *("https://host:0", "https://[::g]", "https://ho\\st", 'https://h"', "https://host/a/../b"),
        *("https://host//a", "https://host/a b", "https://host/%2e%2e", "https://host/gemini/v1beta"),
    ],
    "allowed_origins": [
        *("", ",", "app.example", "https://", "https://app.example/", "https://app.example/a", "null"),
        *("https://*.example", "https://u@app.example", "https://app.example:", "https://höst", "**"),
    ],
    "trusted_proxies": [
        "",
        ",",
        "proxy.example",
        "10.0.0.1/8",
        "10.0.0.0/33",
        "::1/129",
        "*",
        "127.0.0.1:80",
    ],
    "upstream": [
        "",
        "generativelanguage.googleapis.com",
        "ftp://host",
        "https://",
        "https://:443",
        "https://host?",
        "https://host?key=1",
        "https://host#",
        "https://host:0",
        "https://host:99999",
        "https://[::1",
        "https://ho st",
        "https://höst",
        "https://a..b",
        f"https://{'a' * 64}.example",
    ],
    "sandbox": ["", "maybe", "2"],
    "gemini_api_key": [",", "a b", "a\tb", "schlüssel"],
    "google_keys": ["", "AIza1", "[]"],
    "master_key": ["", " a", "a\n", "schlüssel"],
    "database_url": ["", "sqlite://", "sqlite:///", "mysql://host/db", "keys.db"],
    "timezone": ["", "Mars/Olympus", "../etc/passwd", "Europe", "\0", "localtime", "right/UTC", "posix/UTC"],
    "max_budget": ["", "-1", "1e3", "NaN", "ten", "0.0000000000001", "9999999999999"],
    "soft_budget": ["", "-1"],
    "budget_duration": ["", "0d", "monthly", "-1d"],
    "rpm_limit": ["", "0", "-1", "1.5", "1e3", "ten", "٣", "9" * 19],
    "tpm_limit": ["0"],
    "max_parallel_requests": ["0"],
    "connect_timeout": SPANS,
    "first_byte_timeout": SPANS,
    "read_timeout": SPANS,
    "drain_timeout": SPANS,
    "poll_pending": SPANS,
    "on_disconnect": ["", "CANCEL", "stop", "finish "],
    "unowned": ["", "DENY", "all"],
}


def test_every_setting_is_tried() -> None:
    assert REFUSED.keys() == BY_NAME.keys()


@cases(("name", "text"), [(name, text) for name, texts in REFUSED.items() for text in texts])
def test_a_value_that_does_not_parse_is_an_error_that_says_all(name: str, text: str) -> None:
    message = refusal({name: text}, {})
    shown = "the value" if BY_NAME[name].secret or "@" in text else repr(text)
    source = f"--{name.replace('_', '-')}"
    assert message.startswith(f"{name}: {shown} (set by {source}) is not allowed; it takes ")
    assert len(message) > len(f"{name}: {shown} (set by {source}) is not allowed; it takes ") + 10
    assert "\n" not in message


@cases(
    ("name", "text", "value"),
    [
        ("host", "[::1]", "::1"),
        ("upstream", "HTTP://localhost:1/team/", "HTTP://localhost:1/team"),
        ("upstream", "https://v1", "https://v1"),
        ("upstream", "http://models/v1/account", "http://models/v1/account"),
        ("upstream", "http://localhost:1/v1betas-gateway", "http://localhost:1/v1betas-gateway"),
        ("upstream", "http://other:4000/gemini", "http://other:4000/gemini"),
        ("upstream", "http://[::1]:4001", "http://[::1]:4001"),
        ("public_url", "https://gateway.example/", "https://gateway.example"),
        ("public_url", "https://gateway.example/llm/gemini/", "https://gateway.example/llm"),
        ("public_url", "http://[::1]:4000/gemini", "http://[::1]:4000"),
        ("allowed_origins", "https://App.example:443,", ("https://app.example",)),
        ("allowed_origins", "http://a:80, http://[::1]:3000", ("http://a", "http://[::1]:3000")),
        (
            "allowed_origins",
            "chrome-extension://abc, https://a:80",
            ("chrome-extension://abc", "https://a:80"),
        ),
        ("trusted_proxies", "127.0.0.1, ::1", (ip_network("127.0.0.1"), ip_network("::1"))),
        ("trusted_proxies", "10.0.0.0/8,", (ip_network("10.0.0.0/8"),)),
        ("port", "65535", 65535),
        ("max_budget", "0.5", Decimal("0.5")),
        ("soft_budget", "999999999999", Decimal(999999999999)),
        ("budget_duration", "1mo", "1mo"),
        ("rpm_limit", "1", 1),
        ("tpm_limit", "9" * 18, 10**18 - 1),
        ("sandbox", "Yes", True),
        ("sandbox", "0", False),
        ("drain_timeout", "86400", 86400.0),
        ("connect_timeout", "1e-3", 0.001),
    ],
)
def test_what_is_at_the_edge_is_taken(name: str, text: str, value: object) -> None:
    assert getattr(load({name: text}, {}), name) == value


@cases(
    ("given", "base"),
    [
        ("https://generativelanguage.googleapis.com/v1beta", setting_parsers.GOOGLE_API_URL),
        ("https://generativelanguage.googleapis.com/v1beta/openai/", setting_parsers.GOOGLE_API_URL),
        ("https://generativelanguage.googleapis.com/gemini", setting_parsers.GOOGLE_API_URL),
        (
            "https://generativelanguage.googleapis.com/v1beta/models/m:countTokens",
            setting_parsers.GOOGLE_API_URL,
        ),
        ("http://localhost:1/v1", "http://localhost:1"),
        ("http://localhost:1/V1Beta/", "http://localhost:1"),
        ("http://localhost:1//v1alpha//", "http://localhost:1"),
        ("http://localhost:1/v1beta/v1beta2", "http://localhost:1"),
        ("http://localhost:1/team/v1beta/openai/chat/completions", "http://localhost:1/team"),
        ("http://localhost:1/openai", "http://localhost:1"),
        ("http://localhost:1/team/v1/models", "http://localhost:1/team"),
    ],
)
def test_an_upstream_with_what_clients_add_is_refused_with_the_right_one(given: str, base: str) -> None:
    """Each call would have a version twice, and be a 404."""
    message = refusal({}, {"GEMINI_API_BASE": given})
    assert message.startswith(f"upstream: {given!r} (set by GEMINI_API_BASE) is not allowed")
    assert message.endswith(f": {base}")
    assert load({"upstream": base}, {}).upstream == base


@pytest.mark.parametrize(
    "url", ["postgresql://u:pass-word@db/keys", "postgres://db/keys", "postgresql+asyncpg://db/keys"]
)
def test_postgres_is_refused_for_what_it_is(url: str) -> None:
    message = refusal({}, {"DATABASE_URL": url})
    assert message.startswith("database_url: the value (set by DATABASE_URL) is not allowed")
    assert "Postgres is not supported yet" in message
    assert "pass-word" not in message


# Secrets


@cases(
    ("name", "environ"),
    [
        ("gemini_api_key", {"GEMINI_API_KEY": f"{SECRET} {SECRET}"}),
        ("master_key", {"GATEKEEPER_MASTER_KEY": f"{SECRET}ß"}),
        ("database_url", {"DATABASE_URL": f"mysql://root:{SECRET}@db"}),
        ("upstream", {"GEMINI_API_BASE": f"https://user:{SECRET}@host"}),
    ],
)
def test_an_error_does_not_show_a_secret(name: str, environ: dict[str, str]) -> None:
    message = refusal({}, environ)
    assert message.startswith(f"{name}: the value (set by {next(iter(environ))}) is not allowed")
    assert SECRET not in message


@cases("value", [f'{{ key = "{SECRET}" }}', f'[["{SECRET}"]]'])
@cases("name", ["gemini_api_key", "master_key", "database_url"])
def test_nor_does_one_for_a_wrong_type(name: str, value: str, file: File) -> None:
    message = refusal({}, {}, file(f"{name} = {value}"))
    assert message.startswith(f"{name}: the value (set by ")
    assert SECRET not in message


def test_settings_that_are_printed_show_no_secret() -> None:
    environ = {
        "GEMINI_API_KEY": SECRET,
        "GATEKEEPER_MASTER_KEY": SECRET,
        "DATABASE_URL": f"sqlite:///{SECRET}",
    }
    settings = load({}, environ)
    assert settings.gemini_api_key == (SECRET,)
    assert SECRET not in f"{settings} {settings!r}"


@cases(
    ("name", "value", "shown"),
    [
        ("port", 4000, "4000"),
        ("data", Path("/d"), "/d"),
        ("master_key", None, None),
        ("master_key", SECRET, "…-one"),
        ("master_key", "fifteen-letters", "…"),
        ("gemini_api_key", (SECRET, "short"), "…-one, …"),
        ("trusted_proxies", (ip_network("10.0.0.0/8"), ip_network("::1")), "10.0.0.0/8, ::1/128"),
    ],
)
def test_of_a_secret_only_so_much_is_shown_as_gives_nothing_away(
    name: str, value: object, shown: str | None
) -> None:
    assert masked(BY_NAME[name], value) == shown


@given(st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=5, max_size=60))
def test_no_secret_can_be_read_from_its_mask(secret: str) -> None:
    shown = masked(BY_NAME["master_key"], secret)
    assert shown is not None
    assert len(shown.removeprefix("…")) * 4 <= len(secret)


# Open mode


@cases("host", ["127.0.0.1", "127.8.8.8", "localhost", "::1", "[::1]"])
def test_open_mode_listens_on_loopback(host: str) -> None:
    assert is_loopback(host)
    assert load({"host": host}, {}).open_mode


@cases("host", ["0.0.0.0", "::", "192.168.1.5", "gateway.example", "localhost.example", "127.1"])
def test_and_nowhere_else(host: str) -> None:
    assert not is_loopback(host)
    message = refusal({}, {"GATEKEEPER_HOST": host})
    assert message.startswith(f"host: '{host}' (set by GATEKEEPER_HOST) is not allowed without a master key")
    assert "Set GATEKEEPER_MASTER_KEY, or listen on 127.0.0.1" in message
    guarded: Settings = load({"host": host}, {"LITELLM_MASTER_KEY": "sk-1234"})
    assert (guarded.host, guarded.open_mode, guarded.mode) == (host, False, "master key")


# TLS


@pytest.mark.parametrize(("given", "missing"), [("tls_cert", "tls_key"), ("tls_key", "tls_cert")])
def test_a_certificate_needs_its_key(given: str, missing: str) -> None:
    message = refusal({}, {f"GATEKEEPER_{given.upper()}": "some.pem"})
    assert message.startswith(f"{missing}: not set, but {given} is (by GATEKEEPER_{given.upper()})")
    assert f"set GATEKEEPER_{missing.upper()}" in message
    both = load({given: "some.pem", missing: "some.pem"}, {})
    assert (both.scheme, load({}, {}).scheme) == ("https", "http")


def test_no_variable_sets_two_things() -> None:
    variables = [variable for setting in SETTINGS for variable in setting.environment]
    assert len(set(variables)) == len(variables)


def test_any_page_of_the_web_needs_a_master_key() -> None:
    message = refusal({}, {"GATEKEEPER_ALLOWED_ORIGINS": "https://a, *"})
    assert message.startswith(
        "allowed_origins: '*' (set by GATEKEEPER_ALLOWED_ORIGINS) is not allowed without"
    )
    assert load({"allowed_origins": "https://a"}, {}).allowed_origins == ("https://a",)
    assert load({"allowed_origins": "*", "master_key": "m"}, {}).allowed_origins == ("*",)
