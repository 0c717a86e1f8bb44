"""What `gatekeeper serve` refuses to start with, and the one line that it says."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from rig.certificate import make_certificate

KEY = {"GEMINI_API_KEY": "AIzaOfTheTests"}
MASTER = {"GATEKEEPER_MASTER_KEY": "master-of-the-tests"}


@pytest.fixture(autouse=True)
def _no_start(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever is not refused is a fault here; it would run for ever."""
    monkeypatch.setattr("gatekeeper.serve.run", None)


@pytest.fixture
def taken() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener.getsockname()[1]


@pytest.fixture
def free() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


CERT = {"GATEKEEPER_TLS_CERT": "good.pem"}
OWN = ["own address", "--upstream https://generativelanguage.googleapis.com"]


@pytest.mark.parametrize(
    ("words", "settings", "said"),
    [
        ([], {"GEMINI_API_KEY": ""}, ["no Google key", "GEMINI_API_KEY", "--sandbox"]),
        (["--port", "{taken}"], KEY, ["127.0.0.1:{taken}", "in use", "--port"]),
        (["--host", "[::1]", "--port", "70000"], KEY, ["port", "'70000'", "--port", "1 to 65535"]),
        (["--host", "192.0.2.77", "--port", "{free}"], KEY | MASTER, ["192.0.2.77:{free}", "--host"]),
        (["--config", "half.toml"], KEY, ["half.toml", "TOML", "line 2"]),
        (["--config", "odd.toml"], KEY, ["prot", "odd.toml", "did you mean port?", "allowed are"]),
        (
            [],
            {**KEY, "DATABASE_URL": "postgresql://me:hush@db/x"},
            ["database_url", "DATABASE_URL", "Postgres is not supported yet"],
        ),
        (["--host", "0.0.0.0"], KEY, ["host", "'0.0.0.0'", "--host", "GATEKEEPER_MASTER_KEY", "127.0.0.1"]),
        (
            ["--port", "{free}", "--data", "half.toml/data"],
            KEY,
            ["data folder", "half.toml/data", "not writable", "--data"],
        ),
        (["--port", "{free}", "--upstream", "http://localhost:{free}"], KEY, ["(set by --upstream)", *OWN]),
        (["--port", "{free}", "--upstream", "https://[::1]:{free}/gemini"], KEY, ["[::1]:{free}/", *OWN]),
        (
            ["--port", "{free}"],
            {**KEY, "GEMINI_API_BASE": "http://127.0.0.1:{free}/gemini"},
            ["(set by GEMINI_API_BASE)", "Unset it", "clients read that variable too", *OWN],
        ),
        (["--port", "{free}", "--config", "own.toml"], KEY, ["(set by own.toml)", *OWN]),
        ([], KEY | CERT, ["tls_key", "not set", "GATEKEEPER_TLS_CERT", "GATEKEEPER_TLS_KEY"]),
        ([], KEY | {"GATEKEEPER_TLS_KEY": "good.pem"}, ["tls_cert", "GATEKEEPER_TLS_CERT"]),
        (
            [],
            KEY | CERT | {"GATEKEEPER_TLS_KEY": "other.pem"},
            [
                "tls_key: other.pem (set by GATEKEEPER_TLS_KEY)",
                "is not the key of the certificate in good.pem",
            ],
        ),
        ([], KEY | CERT | {"GATEKEEPER_TLS_KEY": "nix.pem"}, ["tls_key: nix.pem", "No such file"]),
        (["--config", "tls.toml"], KEY, ["tls_cert: old.pem (set by tls.toml) has expired", "renew"]),
    ],
)
def test_what_does_not_do_is_told_in_one_line(
    cli: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    taken: int,
    free: int,
    words: list[str],
    settings: dict[str, str],
    said: list[str],
) -> None:
    ports = {"taken": taken, "free": free}
    (tmp_path / "half.toml").write_text('host = "127.0.0.1"\nport =\n')
    (tmp_path / "odd.toml").write_text("prot = 4000\n")
    (tmp_path / "own.toml").write_text(f'upstream = "http://localhost:{free}"\n')
    (tmp_path / "tls.toml").write_text('tls_cert = "old.pem"\ntls_key = "old.pem"\n')
    if any("TLS" in name for name in settings) or "tls.toml" in words:
        for name, ends in (("good", 1), ("other", 1), ("old", -0.5)):
            make_certificate(tmp_path / f"{name}.pem", ends=timedelta(days=ends))
    for name, value in settings.items():
        monkeypatch.setenv(name, value.format(**ports))
    ended = cli("serve", *(word.format(**ports) for word in words))
    assert (ended.status, ended.out) == (2, "")
    assert ended.err.startswith("gatekeeper: ")
    assert ended.err.endswith("\n")
    assert ended.err.count("\n") == 1
    assert not [part for part in said if part.format(**ports) not in ended.err], ended.err
    assert "hush" not in ended.err
    assert not (tmp_path / "data").exists(), "what does not start leaves nothing behind"
