"""What each of a thousand gateways and their clients would make anew, made once in a process."""

from __future__ import annotations

import functools
import ssl
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import httpx2

from gatekeeper.keys.sqlite_file import SqliteFile


def http_client(url: str, timeout: float = 10) -> httpx2.AsyncClient:
    """A client for the gateway there. It trusts any certificate, and goes by no proxy of the environment."""
    settings: dict[str, Any] = {"verify": _trusting(), "trust_env": False}
    return httpx2.AsyncClient(base_url=url, timeout=timeout, **settings)


def put_new_keys_file(path: Path) -> None:
    """Writes there what a gateway makes of a file that it does not find. How it does that, statement by
    statement, is seen where a process is started, and in `tests/keys`."""
    if not path.exists():
        path.write_bytes(_new_keys_file())


@functools.cache
def _trusting() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context


@functools.cache
def _new_keys_file() -> bytes:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "keys.sqlite"
        SqliteFile(path).close()
        return path.read_bytes()
