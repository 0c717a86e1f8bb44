"""All calls of a question, page by page, into a file of one of three forms.

CSV and Parquet have the columns of the analytics file, in their order, with `usage` as JSON text; lists in
CSV are JSON, too. NDJSON is the API's documents, one a line.
"""

from __future__ import annotations

import csv
import io
import shutil
import sys
import tempfile
from collections.abc import AsyncGenerator, Callable, Generator, Iterable
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, NamedTuple

import msgspec

from gatekeeper.cli.conventions import Failure, Status, Target, ask
from gatekeeper.cli.output import Answered
from gatekeeper.client.admin_api import Client
from gatekeeper.ledger.call import COLUMNS
from gatekeeper.times import parse_span, parse_time

# The most that the API gives at once.
PAGE = 1000
STDOUT = Path("-")


class Question(NamedTuple):
    """Which calls; texts as the API takes them."""

    q: str | None
    since: str | None
    until: str | None


class Page(Answered, kw_only=True):
    """A page of `/calls` whose calls stay as they came."""

    calls: list[msgspec.Raw]
    next_cursor: str | None = None


Calls = list[msgspec.Raw]


def export_calls(target: Target, question: Question, form: str, out: Path) -> int:
    """Writes them, the newest first; how many. A file is there when it is whole, or stays as it was.

    Raises Failure, also where the gateway cannot reach all of its calls.
    """
    with destination(out) as file:
        return FORMS[form](target, question, file)


def export_ndjson(target: Target, question: Question, file: IO[bytes]) -> int:
    """Compact, because what Google sent may have line ends between its members."""
    return ask(
        target,
        lambda client: fetch(
            client,
            question,
            lambda calls: file.writelines(
                msgspec.json.format(bytes(call), indent=-1) + b"\n" for call in calls
            ),
        ),
    )


def export_csv(target: Target, question: Question, file: IO[bytes]) -> int:
    def write(rows: Iterable[Iterable[str]]) -> None:
        # The csv module ends the lines: nothing else may translate them.
        text = io.StringIO(newline="")
        csv.writer(text, lineterminator="\n").writerows(rows)
        file.write(text.getvalue().encode())

    write([COLUMNS])
    return ask(target, lambda client: fetch(client, question, lambda calls: write(map(csv_row, calls))))


def export_parquet(target: Target, question: Question, file: IO[bytes]) -> int:
    """By DuckDB from NDJSON on disk: there may be more calls than memory holds."""
    import duckdb

    with tempfile.TemporaryDirectory(prefix="gatekeeper-") as folder:
        lines, whole = Path(folder) / "calls.ndjson", Path(folder) / "calls.parquet"
        with lines.open("wb") as ndjson:
            count = export_ndjson(target, question, ndjson)
        with duckdb.connect() as con:
            con.execute("SET TimeZone = 'UTC'")
            calls = con.read_json(str(lines), columns=COLUMNS, format="newline_delimited")
            calls.project("* REPLACE (CAST(usage AS VARCHAR) AS usage)").write_parquet(str(whole))
        with whole.open("rb") as made:
            shutil.copyfileobj(made, file)
    return count


FORMS = {"csv": export_csv, "ndjson": export_ndjson, "parquet": export_parquet}


def csv_row(call: msgspec.Raw) -> list[str]:
    values = msgspec.json.decode(call, type=dict[str, msgspec.Raw])
    return [csv_cell(bytes(values.get(name, b"null"))) for name in COLUMNS]


def csv_cell(value: bytes) -> str:
    """Of JSON's null nothing, of a string its characters, of all else its JSON."""
    if value == b"null":
        return ""
    if value.startswith(b'"'):
        return msgspec.json.decode(value, type=str)
    return msgspec.json.format(value, indent=-1).decode()


async def fetch(client: Client, question: Question, write: Callable[[Calls], object]) -> int:
    count = 0
    async for page in pages(client, question):
        write(page.calls)
        count += len(page.calls)
    return count


async def pages(client: Client, question: Question) -> AsyncGenerator[Page]:
    """Every page. A span back from now means the same now on each of them."""
    # `1h` would mean another hour with each page.
    since, until, cursor = fixed(question.since), fixed(question.until), None
    while True:
        answer = await client.calls(question.q, since, until, PAGE, cursor)
        page = msgspec.json.decode(answer.raw, type=Page)
        if page.partial:
            raise Failure(
                f"{page.partial_reason}, so these would not be all calls: try again when it is back",
                Status.REFUSED,
            )
        yield page
        cursor = page.next_cursor
        if cursor is None:
            return


def fixed(time: str | None) -> str | None:
    """A span as the point of time that it names now; all else as it is, for the gateway to judge."""
    try:
        parse_span(time or "")
    except ValueError:
        return time
    return parse_time(time or "", datetime.now(UTC)).isoformat()


@contextmanager
def destination(out: Path) -> Generator[IO[bytes]]:
    """Stdout for `-`. A file is written beside its place and moved there in the end."""
    if out == STDOUT:
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
        return
    # In the same folder, so that it only has to be renamed, which happens whole or not at all.
    part = out.with_name(f"{out.name}.part")
    try:
        with part.open("wb") as file:
            yield file
        part.replace(out)
    except OSError as error:
        raise Failure(f"{out} cannot be written: {error.strerror}. Check --out", Status.USAGE) from None
    finally:
        # After the move there is none; else what was written is not all.
        part.unlink(missing_ok=True)
