"""Checks of `gatekeeper doctor` outside its own process: the data folder and who uses it, the certificate,
the upstream, and whether Google accepts a key.

The upstream is connected to as `serve` would. Only `key_refusal` calls the API, with the key: one read that
costs nothing.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import socket
import ssl
from collections.abc import Iterator
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import SplitResult, urlsplit

import msgspec

from gatekeeper.cli.deadline import ProbeError, run_with_timeout
from gatekeeper.client import formats
from gatekeeper.data_dir import ANALYTICS_FILE, LOCK_FILE, is_locked
from gatekeeper.settings import Settings
from gatekeeper.startup import certificate_problem, data_kind_mismatch, is_key_exposed

if TYPE_CHECKING:
    from gatekeeper.server.certificate import Certificate

# Below this free space calls may soon fail to be recorded.
MIN_FREE_BYTES = 10**9
# The newest segments of the journal; there are rarely more.
SEGMENTS_CHECKED = 10
# Linux only: elsewhere no lock holders are found.
PROC_LOCKS = Path("/proc/locks")
CONNECT_TIMEOUT = 5.0
DATE = re.compile(rb"^date:[ \t]*(.+?)\r?$", re.IGNORECASE | re.MULTILINE)

# Of the request that asks whether Google accepts a key.
KEY_TIMEOUT = 5.0  # seconds
KEY_PATH = "/v1beta/models?pageSize=1"
# Google answers 400 to a key that it does not know (API_KEY_INVALID), 403 to one that it has suspended.
REFUSING_STATUSES = (400, 401, 403)


class Finding(msgspec.Struct, frozen=True):
    """The result of a check. With a `remedy` it failed."""

    check: str
    detail: str
    remedy: str | None = None


def check_folder(data: Path, runs_here: bool) -> Iterator[Finding]:
    """`runs_here`: the gateway of this folder responds, so the folder may be in use."""
    # A missing folder will be created in the nearest existing parent. Not by `exists`, which raises where a
    # folder above may not be searched.
    place = next(path for path in (data, *data.absolute().parents) if os.access(path, os.F_OK))
    if not place.is_dir() or not os.access(place, os.W_OK | os.X_OK):
        what = "no folder" if not place.is_dir() else "not writable"
        yield Finding(
            "data folder", f"{place} is {what}", "change that, or choose another: --data, GATEKEEPER_DATA"
        )
        return
    yield Finding(
        "data folder", f"{data} is writable" if place == data else f"{data} will be made in {place}"
    )
    yield check_disk_space(place)
    if place == data:
        yield from check_in_use(data, runs_here)
        # A running gateway reports the state of its journal in /readyz.
        if not (is_locked(data) or is_locked(data / LOCK_FILE)):
            yield from check_journal(data / "journal")


def check_kind(settings: Settings) -> Iterator[Finding]:
    """Checks that the folder is of the same mode (Google or sandbox); an unreadable one is reported by
    `check_folder`."""
    with contextlib.suppress(OSError):
        if problem := data_kind_mismatch(settings):
            yield Finding("data folder", problem.problem, problem.remedy)


def check_disk_space(place: Path) -> Finding:
    free = shutil.disk_usage(place).free
    remedy = "make room: without it calls can no longer be recorded" if free < MIN_FREE_BYTES else None
    return Finding("disk", f"{formats.size(free)} free", remedy)


def check_in_use(data: Path, runs_here: bool) -> Iterator[Finding]:
    gateways = lock_holder_pids(data / LOCK_FILE)
    if not runs_here and (is_locked(data) or is_locked(data / LOCK_FILE)):
        yield Finding(
            "in use",
            f"a gateway{pids_text(gateways)} uses {data}, and not at the address that is set",
            "give its --port or --url, stop it, or choose another folder: --data, GATEKEEPER_DATA",
        )
    if others := lock_holder_pids(data / ANALYTICS_FILE) - gateways:
        yield Finding(
            "in use",
            f"a program{pids_text(others)} has {ANALYTICS_FILE} open: calls wait in the journal meanwhile",
            "close that program when you are done with it",
        )


def check_journal(folder: Path) -> Iterator[Finding]:
    """Finds damaged lines of the journal."""
    from gatekeeper.ledger.segments import NewerJournalError, records, segment_numbers

    try:
        numbers = segment_numbers(folder)[-SEGMENTS_CHECKED:]
        damaged = [number for number in numbers for _, record in records(folder, number) if record is None]
    except (OSError, NewerJournalError) as problem:
        yield Finding(
            "journal", str(problem), "look at that file; its calls may not be in the analytics file yet"
        )
        return
    if damaged:
        files = ", ".join(f"{number:08}.ndjson" for number in sorted(set(damaged)))
        yield Finding(
            "journal",
            f"{len(damaged)} damaged lines in {files}: the calls in them are lost",
            "check the disk; a gateway skips such lines and reads on",
        )


def lock_holder_pids(file: Path) -> set[int]:
    """Ids of the processes that hold a lock on the file; only those that this user may see."""
    try:
        status = file.stat()
        lines = PROC_LOCKS.read_text().splitlines()
    except OSError:
        return set()
    # /proc/locks names a file by its device, in hexadecimal, and its inode.
    device = f"{os.major(status.st_dev):02x}:{os.minor(status.st_dev):02x}:{status.st_ino}"
    rows = [line.split() for line in lines]
    # The id is 0 for a process that this user may not see, and -1 for a lock of an open file description. A
    # process that waits for the lock has one more column, and so is not matched.
    return {int(row[4]) for row in rows if len(row) > 5 and row[5] == device and int(row[4]) > 0}


def pids_text(ids: set[int]) -> str:
    return f" (process {', '.join(map(str, sorted(ids)))})" if ids else ""


def check_certificate(settings: Settings, now: datetime) -> tuple[Certificate | None, list[Finding]]:
    """The TLS certificate, if it is set and can be used, and the findings about it."""
    from gatekeeper.server import certificate as certificates

    if not (settings.tls_cert and settings.tls_key):
        return None, []
    try:
        found = certificates.load(settings.tls_cert, settings.tls_key)
    except certificates.CertificateError as error:
        remedy = "change that file, or the setting; a running gateway keeps the certificate that it has"
        return None, [Finding("TLS", certificate_problem(settings, error), remedy)]
    left = found.expires - now
    renew = (
        "renew it; a running gateway then loads it by itself" if left < certificates.EXPIRY_WARNING else None
    )
    told = [Finding("TLS", f"certificate for {', '.join(found.names)}, {left.days} days left", renew)]
    if is_key_exposed(settings):
        told.append(
            Finding("TLS", f"every user can read {settings.tls_key}", f"chmod o-r {settings.tls_key}")
        )
    return found, told


def upstream_clock(url: str) -> datetime | None:
    """The upstream's `Date`, if it sends one. Raises ProbeError after a few seconds at most."""
    return run_with_timeout(CONNECT_TIMEOUT + 1, lambda: fetch_date(urlsplit(url)))


def fetch_date(url: SplitResult) -> datetime | None:
    """Connects, with TLS for https, and sends a HEAD request for `/`; returns its `Date`."""
    secure = url.scheme == "https"
    host = url.hostname or ""
    with socket.create_connection((host, url.port or (443 if secure else 80)), CONNECT_TIMEOUT) as plain:
        connection = wrap_tls(plain, host) if secure else plain
        with connection:
            # HEAD, and no path of the API: it needs no key.
            connection.sendall(f"HEAD / HTTP/1.1\r\nHost: {url.netloc}\r\nConnection: close\r\n\r\n".encode())
            # One read: the clock is a by-product, not worth waiting for the rest of a response head.
            return parse_date_header(connection.recv(16384))


def wrap_tls(plain: socket.socket, host: str) -> ssl.SSLSocket:
    # Imported here: it imports trio and the proxy, which `--help` does not need.
    from gatekeeper.upstream.pool import tls_context

    return tls_context().wrap_socket(plain, server_hostname=host)


def trust_only(certificate: Path) -> ssl.SSLContext:
    """For a connection to the gateway that has this certificate, by whatever name."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    # The certificate is trusted by itself: OpenSSL would want its issuer's, too.
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    # A certificate that cannot be read is told by the check of the settings.
    with contextlib.suppress(OSError):
        context.load_verify_locations(certificate)
    return context


def parse_date_header(head: bytes) -> datetime | None:
    found = DATE.search(head)
    try:
        return parsedate_to_datetime(found[1].decode("latin-1")).astimezone(UTC) if found else None
    except ValueError:
        return None


class _Error(msgspec.Struct, frozen=True):
    message: str = ""


class _Answer(msgspec.Struct, frozen=True):
    error: _Error = _Error()


def key_refusal(upstream: str, key: str) -> str | None:
    """What Google says if it refuses the key, None if it accepts it. Raises ProbeError if it says neither."""
    status, body = run_with_timeout(KEY_TIMEOUT + 1, lambda: _list_models(upstream, key))
    if status == 200:
        return None
    if status not in REFUSING_STATUSES:
        raise ProbeError(f"it answers {status}")
    try:
        sentence = msgspec.json.decode(body, type=_Answer).error.message
    except msgspec.DecodeError:
        raise ProbeError(f"it answers {status}, and not as Google's API does") from None
    # Whatever answers there may repeat the key.
    return f"{status}: {sentence.replace(key, '…')}"


def _list_models(upstream: str, key: str) -> tuple[int, bytes]:
    """Raises OSError."""
    # Imported here: `--help` does without.
    import httpx2

    from gatekeeper.upstream.pool import tls_context

    try:
        # As the gateway connects: by no proxy of the environment.
        with httpx2.Client(verify=tls_context(), timeout=KEY_TIMEOUT, trust_env=False) as client:
            response = client.get(upstream + KEY_PATH, headers={"x-goog-api-key": key})
    except httpx2.TimeoutException:
        raise TimeoutError from None
    except httpx2.TransportError as error:
        # The cause's text may quote the request.
        raise OSError(0, connection_text(error)) from None
    return response.status_code, response.content


def connection_text(error: Exception) -> str:
    return (
        "its certificate is not trusted"
        if "CERTIFICATE_VERIFY" in str(error)
        else "no connection can be made"
    )
