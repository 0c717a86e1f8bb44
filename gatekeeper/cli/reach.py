"""Whether the upstream can be reached, as `serve` would reach it; no key and no call is sent."""

from __future__ import annotations

import re
import socket
import ssl
from collections.abc import Callable
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from queue import Empty, SimpleQueue
from threading import Thread
from typing import TypeVar
from urllib.parse import SplitResult, urlsplit

from gatekeeper.trust import tls_context

T = TypeVar("T")

SECONDS = 5.0
DATE = re.compile(rb"^date:[ \t]*(.+?)\r?$", re.IGNORECASE | re.MULTILINE)


class Unreached(Exception):
    """Why not, in a few words for people."""


def upstream_clock(url: str) -> datetime | None:
    """The time by the upstream's clock, if it tells. Raises Unreached, within seconds."""
    return within(SECONDS + 1, lambda: ask_for_head(urlsplit(url)))


def within(seconds: float, work: Callable[[], T]) -> T:
    """In a thread that is left behind where it takes longer: looking up a name knows no time limit.

    Raises Unreached.
    """
    done: SimpleQueue[T | OSError] = SimpleQueue()

    def run() -> None:
        try:
            done.put(work())
        except OSError as error:
            done.put(error)

    Thread(target=run, daemon=True).start()
    try:
        result = done.get(timeout=seconds)
    except Empty:
        raise Unreached(f"no answer within {seconds:g} s") from None
    if isinstance(result, OSError):
        raise Unreached(why(result))
    return result


def why(error: OSError) -> str:
    match error:
        case ssl.SSLCertVerificationError():
            return f"its certificate is not trusted: {error.verify_message}"
        case ssl.SSLError():
            return "no TLS connection can be made"
        case socket.gaierror():
            return "its name is not known here"
        case TimeoutError():
            return "it does not answer"
        case _:
            return error.strerror or type(error).__name__


def ask_for_head(url: SplitResult) -> datetime | None:
    """Connects, with TLS for https, and asks for `/`, of which the `Date` is all that is wanted."""
    secure = url.scheme == "https"
    host = url.hostname or ""
    with socket.create_connection((host, url.port or (443 if secure else 80)), SECONDS) as plain:
        connection = secured(plain, host) if secure else plain
        with connection:
            connection.sendall(f"HEAD / HTTP/1.1\r\nHost: {url.netloc}\r\nConnection: close\r\n\r\n".encode())
            return date_in(connection.recv(16384))


def secured(plain: socket.socket, host: str) -> ssl.SSLSocket:
    return tls_context().wrap_socket(plain, server_hostname=host)


def date_in(head: bytes) -> datetime | None:
    found = DATE.search(head)
    try:
        return parsedate_to_datetime(found[1].decode("latin-1")).astimezone(UTC) if found else None
    except ValueError:
        return None
