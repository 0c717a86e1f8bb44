"""The process in which one query of a person runs: `python -m gatekeeper.ledger.analytics.sql_process`.

It reads one line from stdin, a `Request` as JSON, and writes to stdout either `answer`, a line end and the
answer as JSON, or `refused` or `failed`, a line end and what to tell. It ends with the status 0 after that,
and with another where it could not: then it was ended, most likely by the limits that it sets itself below.

A query can do what it likes with this process. One that builds a single very large value takes memory past
DuckDB's own limit, one that is slow to plan cannot be interrupted, and neither gives the interpreter's lock
back. So the limits are the kernel's, and the process that started this one may kill it at any moment.
"""

from __future__ import annotations

import os
import resource
import signal
import sys
from contextlib import suppress
from pathlib import Path
from threading import Thread

import msgspec

TEMPORARY = "gatekeeper.duckdb.query.tmp"
"""Where, in the data folder, a query spills what is too much for its memory."""
LEAST_PRIORITY = 19
FIRST_TO_GO = "1000"  # for the kernel, where the machine's memory runs out
PARTING = 5  # seconds after the time limit, after which the process ends though nobody ends it


class Request(msgspec.Struct):
    """A query, what it may use, and what the file does not have: `rows`, a JSON array.

    `attached` is false where the file is out of reach. `absence` says why calls are missing from what can be
    seen; None where none are.
    """

    folder: str
    query: str
    limit: int
    seconds: float
    memory: int
    largest_answer: int
    attached: bool
    rows: str
    absence: str | None


def main() -> None:
    request = msgspec.json.decode(sys.stdin.buffer.readline(), type=Request)
    restrict(request)
    Thread(target=end_with_parent, daemon=True).start()
    kind, text = answer(request)
    sys.stdout.buffer.write(kind + b"\n" + text)
    sys.stdout.buffer.flush()
    os._exit(0)  # at once: whatever DuckDB would tidy up is this process's alone


def restrict(request: Request) -> None:
    """Sets what the kernel holds this process to."""
    signal.alarm(int(request.seconds) + PARTING)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with suppress(OSError, ValueError):  # where a system knows no such limit, DuckDB's own remains
        resource.setrlimit(resource.RLIMIT_DATA, (request.memory, request.memory))
    with suppress(OSError):
        os.nice(LEAST_PRIORITY)
    with suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text(FIRST_TO_GO)


def end_with_parent() -> None:
    """Our stdin stays open for as long as the process lives that started this one, and waits for it."""
    while os.read(sys.stdin.fileno(), 1):
        pass
    os._exit(1)


def answer(request: Request) -> tuple[bytes, bytes]:
    """What kind of answer it is, and the answer."""
    # Here and not above: the process that starts this one needs the request's form, and not DuckDB.
    from gatekeeper.ledger.analytics.database import Database
    from gatekeeper.ledger.analytics.errors import AnalyticsError
    from gatekeeper.ledger.analytics.sql_guard import OutOfMemory, SqlError, ask

    try:
        database = Database(Path(request.folder), f"{request.memory // 2}B", TEMPORARY)
        if request.attached:
            database.attach(read_only=True)
        database.load(request.rows)
        found = ask(database, request.query, request.limit, request.seconds)
        gaps = {"partial": True, "partial_reason": request.absence} if request.absence else {}
        document = msgspec.json.encode({**found, **gaps})
    except (OutOfMemory, MemoryError):
        return b"refused", out_of_memory(request.memory).encode()
    except SqlError as error:
        return b"refused", str(error).encode()
    except AnalyticsError as error:
        return b"failed", str(error).encode()
    if len(document) > request.largest_answer:
        return b"refused", too_large(request.largest_answer).encode()
    return b"answer", document


def out_of_memory(memory: int) -> str:
    return (
        f"The query needed more than the {mebibytes(memory)} of memory that a query may take; ask for fewer "
        "rows or smaller values, or lend the file to a program of yours: gatekeeper sql --exec"
    )


def too_large(largest: int) -> str:
    return (
        f"The answer is larger than {mebibytes(largest)}; choose fewer columns or rows, or lend the file to "
        "a program of yours: gatekeeper sql --exec"
    )


def mebibytes(size: int) -> str:
    return f"{size / 1024 / 1024:.3g} MiB"


if __name__ == "__main__":
    main()
