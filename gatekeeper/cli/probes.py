"""What `gatekeeper doctor` looks at outside of itself: the data folder and who uses it, and the way upstream.

The upstream is reached as `serve` would reach it; no key and no call is sent.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import socket
import ssl
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from queue import Empty, SimpleQueue
from threading import Thread
from typing import TypeVar
from urllib.parse import SplitResult, urlsplit

import msgspec

from gatekeeper.client import formats
from gatekeeper.data_dir import ANALYTICS_FILE, LOCK_FILE, is_locked
from gatekeeper.settings import Settings
from gatekeeper.startup import data_kind_mismatch

T = TypeVar("T")

# Bytes of free space; below, calls may soon find no room to be recorded.
LITTLE_SPACE = 10**9
# Segments of the journal, the last ones; there are rarely more.
LOOKED_AT = 10
# Linux only: elsewhere nobody is known to hold anything.
LOCKS = Path("/proc/locks")
SECONDS = 5.0
DATE = re.compile(rb"^date:[ \t]*(.+?)\r?$", re.IGNORECASE | re.MULTILINE)


class Finding(msgspec.Struct, frozen=True):
    """What a check saw. A `remedy` says that something is wrong, and what to do."""

    check: str
    detail: str
    remedy: str | None = None


def check_folder(data: Path, runs_here: bool) -> Iterator[Finding]:
    """`runs_here`: the gateway of this folder answers, so that it is right for it to be in use."""
    # A folder that is not there yet will be made in the nearest one that is.
    place = next(path for path in (data, *data.absolute().parents) if path.exists())
    if not place.is_dir() or not os.access(place, os.W_OK | os.X_OK):
        what = "no folder" if not place.is_dir() else "not writable"
        yield Finding(
            "data folder", f"{place} is {what}", "change that, or choose another: --data, GATEKEEPER_DATA"
        )
        return
    yield Finding(
        "data folder", f"{data} is writable" if place == data else f"{data} will be made in {place}"
    )
    yield space(place)
    if place == data:
        yield from users(data, runs_here)
        # Of its own a running gateway tells in /readyz.
        if not (is_locked(data) or is_locked(data / LOCK_FILE)):
            yield from journal(data / "journal")


def check_kind(settings: Settings) -> Iterator[Finding]:
    """Whether the folder is of the other kind. One that cannot be read is told by `check_folder`."""
    with contextlib.suppress(OSError):
        if obstacle := data_kind_mismatch(settings):
            yield Finding("data folder", obstacle.problem, obstacle.remedy)


def space(place: Path) -> Finding:
    free = shutil.disk_usage(place).free
    remedy = "make room: without it calls can no longer be recorded" if free < LITTLE_SPACE else None
    return Finding("disk", f"{formats.size(free)} free", remedy)


def users(data: Path, runs_here: bool) -> Iterator[Finding]:
    gateways = holders(data / LOCK_FILE)
    if not runs_here and (is_locked(data) or is_locked(data / LOCK_FILE)):
        yield Finding(
            "in use",
            f"a gateway{processes(gateways)} uses {data}, and not at the address that is set",
            "give its --port or --url, stop it, or choose another folder: --data, GATEKEEPER_DATA",
        )
    if others := holders(data / ANALYTICS_FILE) - gateways:
        yield Finding(
            "in use",
            f"a program{processes(others)} has {ANALYTICS_FILE} open: calls wait in the journal meanwhile",
            "end that program when it has what it wants",
        )


def journal(folder: Path) -> Iterator[Finding]:
    """Lines of the journal that nobody can read any more; nothing where all is well."""
    from gatekeeper.ledger.segments import NewerJournalError, records, segment_numbers

    try:
        numbers = segment_numbers(folder)[-LOOKED_AT:]
        damaged = [number for number in numbers for _, record in records(folder, number) if record is None]
    except (OSError, NewerJournalError) as problem:
        yield Finding("journal", str(problem), "look at that file; what is in it is not in the books yet")
        return
    if damaged:
        files = ", ".join(f"{number:08}.ndjson" for number in sorted(set(damaged)))
        yield Finding(
            "journal",
            f"{len(damaged)} damaged lines in {files}: the calls in them are lost",
            "check the disk; a gateway skips such lines and reads on",
        )


def holders(file: Path) -> set[int]:
    """Ids of the processes that hold a lock on the file; only those that this user may know of."""
    try:
        status = file.stat()
        lines = LOCKS.read_text().splitlines()
    except OSError:
        return set()
    # /proc/locks names a file by its device, in hexadecimal, and its inode.
    device = f"{os.major(status.st_dev):02x}:{os.minor(status.st_dev):02x}:{status.st_ino}"
    rows = [line.split() for line in lines]
    # The id of a process that one may not know is 0, and of a lock that belongs to an open file -1. Who only
    # waits for a lock has a column more, and so is not found.
    return {int(row[4]) for row in rows if len(row) > 5 and row[5] == device and int(row[4]) > 0}


def processes(ids: set[int]) -> str:
    return f" (process {', '.join(map(str, sorted(ids)))})" if ids else ""


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

    # A daemon, so that the program can end while it still waits.
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
            # HEAD, and no path of the API: nothing is asked for that a key would be needed for.
            connection.sendall(f"HEAD / HTTP/1.1\r\nHost: {url.netloc}\r\nConnection: close\r\n\r\n".encode())
            # One read: the clock is a by-product, and no reason to wait for the rest of a head.
            return date_in(connection.recv(16384))


def secured(plain: socket.socket, host: str) -> ssl.SSLSocket:
    # Only here: it brings trio and the whole way upstream, which `--help` can do without.
    from gatekeeper.proxy.upstream import tls_context

    return tls_context().wrap_socket(plain, server_hostname=host)


def date_in(head: bytes) -> datetime | None:
    found = DATE.search(head)
    try:
        return parsedate_to_datetime(found[1].decode("latin-1")).astimezone(UTC) if found else None
    except ValueError:
        return None
