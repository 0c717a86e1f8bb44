"""Exports all calls that match a filter, page by page, to a file in one of three formats.

CSV and Parquet have the columns of the analytics file, in their order, with `usage` and `billed_units` as
JSON text; lists in CSV are JSON, too. NDJSON is the API's documents, one a line.
"""

from __future__ import annotations

import csv
import io
import os
import secrets
import shutil
import sys
import tempfile
from collections.abc import AsyncGenerator, Callable, Generator, Iterable
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import IO, TYPE_CHECKING
from zoneinfo import ZoneInfo

import msgspec

from gatekeeper.cli.call_filter import CallFilter
from gatekeeper.cli.conventions import CommandError, ExitStatus, Target, call_api
from gatekeeper.cli.ending_signals import ENDING, end, handled
from gatekeeper.cli.output import sanitized
from gatekeeper.client.admin_api import Client
from gatekeeper.client.call_pages import PAGE_SIZE, RawPage, csv_cell
from gatekeeper.ledger.call import COLUMNS
from gatekeeper.times import is_relative, parse_time

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

STDOUT = Path("-")


Calls = list[msgspec.Raw]


def export_calls(target: Target, wanted: CallFilter, file_format: str, out: Path) -> int:
    """Writes the calls, newest first, and returns their number. The file is replaced only once complete.

    Raises CommandError, also where the gateway cannot reach all of its calls.
    """
    if file_format == "parquet" and out == STDOUT and sys.stdout.isatty():
        raise CommandError("Parquet is no text: give a file by --out, or a pipe", ExitStatus.USAGE)
    # As ctrl+c does: no temporary file of calls is left.
    with handled(ENDING, end), destination(out) as file:
        return EXPORTERS[file_format](target, wanted, file)


def export_ndjson(target: Target, wanted: CallFilter, file: IO[bytes]) -> int:
    """Compact, because what Google sent may contain newlines between its members."""
    return call_api(
        target,
        lambda client: fetch(
            client,
            wanted,
            lambda calls: file.writelines(
                msgspec.json.format(bytes(call), indent=-1) + b"\n" for call in calls
            ),
        ),
        q=wanted.q,
    )


def export_csv(target: Target, wanted: CallFilter, file: IO[bytes]) -> int:
    def write(rows: Iterable[Iterable[str]]) -> None:
        # The csv module writes the line ends: nothing else may translate them.
        text = io.StringIO(newline="")
        csv.writer(text, lineterminator="\n").writerows(rows)
        file.write(text.getvalue().encode())

    write([COLUMNS])
    return call_api(
        target, lambda client: fetch(client, wanted, lambda calls: write(map(csv_row, calls))), q=wanted.q
    )


def export_parquet(target: Target, wanted: CallFilter, file: IO[bytes]) -> int:
    """By DuckDB from NDJSON on disk: all calls may not fit into memory."""
    import duckdb

    with tempfile.TemporaryDirectory(prefix="gatekeeper-") as folder:
        lines, parquet = Path(folder) / "calls.ndjson", Path(folder) / "calls.parquet"
        with lines.open("wb") as ndjson:
            count = export_ndjson(target, wanted, ndjson)
        with duckdb.connect() as con:
            con.execute("SET TimeZone = 'UTC'")
            # With its columns named DuckDB infers none: of rows that all lack a value it would infer another
            # type.
            calls = con.read_json(str(lines), columns=COLUMNS, format="newline_delimited")
            # JSON is a type of DuckDB's own, which other readers of Parquet do not know.
            texts = ", ".join(f"CAST({name} AS VARCHAR) AS {name}" for name in ("usage", "billed_units"))
            calls.project(f"* REPLACE ({texts})").write_parquet(str(parquet))
        with parquet.open("rb") as made:
            shutil.copyfileobj(made, file)
    return count


EXPORTERS = {"csv": export_csv, "ndjson": export_ndjson, "parquet": export_parquet}


def csv_row(call: msgspec.Raw) -> list[str]:
    values = msgspec.json.decode(call, type=dict[str, msgspec.Raw])
    return [csv_cell(bytes(values.get(name, b"null"))) for name in COLUMNS]


async def fetch(client: Client, wanted: CallFilter, write: Callable[[Calls], object]) -> int:
    count = 0
    async for page in pages(client, wanted):
        write(page.calls)
        count += len(page.calls)
    return count


async def pages(client: Client, wanted: CallFilter) -> AsyncGenerator[RawPage]:
    """All pages of the filter. A relative time is resolved once, so that all pages have the same bounds."""
    since, until, cursor = (
        await absolute_time(client, wanted.since),
        await absolute_time(client, wanted.until),
        None,
    )
    while True:
        response = await client.calls(wanted.q, since, until, PAGE_SIZE, cursor)
        page = msgspec.json.decode(response.raw, type=RawPage)
        if page.partial:
            raise CommandError(
                f"{page.partial_reason}, so the export would be incomplete: try again later",
                ExitStatus.REJECTED,
            )
        yield page
        cursor = page.next_cursor
        if cursor is None:
            return


async def absolute_time(client: Client, time: str | None) -> str | None:
    """A relative time as a timestamp; everything else unchanged, for the gateway to validate."""
    # Otherwise `1h` or `today` would be different times for different pages.
    if time is None or not is_relative(time):
        return time
    # A day by its name is one of the gateway's.
    zone = "UTC" if time[0].isdigit() else (await client.root()).value.timezone or "UTC"
    try:
        return parse_time(time, datetime.now(ZoneInfo(zone))).isoformat()
    except ValueError:
        return time  # too long a duration


@contextmanager
def destination(out: Path) -> Generator[IO[bytes]]:
    """Stdout for `-`; a pipe or a device as it is. Raises CommandError where it cannot be written."""
    if out == STDOUT:
        yield OnTerminal() if sys.stdout.isatty() else sys.stdout.buffer
        sys.stdout.buffer.flush()
        return
    # A link stays, as with a shell's redirection.
    target = Path(os.path.realpath(out))
    try:
        # A pipe or a device, such as /dev/stdout, must not become a file.
        place = new_file if target.is_file() or not target.exists() else opened
        with place(target) as file:
            yield file
    except BrokenPipeError:
        # The reader of a pipe has enough, as `head` has.
        raise
    except OSError as error:
        raise CommandError(
            f"{out} cannot be written: {error.strerror}. Check --out", ExitStatus.USAGE
        ) from None


class OnTerminal(io.BytesIO):
    """Writes lines to stdout without the control characters that a terminal would execute."""

    def write(self, data: ReadableBuffer, /) -> int:
        lines = bytes(data).decode(errors="replace").split("\n")
        return sys.stdout.write("\n".join(map(sanitized, lines)))

    def writelines(self, lines: Iterable[ReadableBuffer], /) -> None:
        # That of BytesIO does not call `write`.
        for line in lines:
            self.write(line)


@contextmanager
def opened(target: Path) -> Generator[IO[bytes]]:
    """Opens an existing pipe or device."""
    with target.open("wb") as file:
        yield file


@contextmanager
def new_file(target: Path) -> Generator[IO[bytes]]:
    """A new file, written under a temporary name in the same folder and renamed at the end."""
    # In the same folder, because only within a file system a rename is atomic; by a name that no file has.
    part = target.with_name(f".gatekeeper-{secrets.token_hex(8)}.part")
    try:
        with part.open("xb") as file:
            yield file
        part.replace(target)
    finally:
        # After the rename there is none; after an error it is incomplete.
        part.unlink(missing_ok=True)
