"""Reads LiteLLM's tables, from its PostgreSQL database or from files exported from it."""

from __future__ import annotations

import importlib
from collections.abc import Iterable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Protocol, cast
from urllib.parse import parse_qsl, unquote, urlencode, urlsplit, urlunsplit

from gatekeeper.cli.conventions import CommandError, ExitStatus
from gatekeeper.litellm.tables import KEYS, TABLES

CONNECT_TIMEOUT = 10  # seconds
SCHEMA = "schema"
# Of Prisma, which LiteLLM reads its database by; libpq refuses what it does not know.
PRISMA = {
    SCHEMA, "connection_limit", "pool_timeout", "pgbouncer", "socket_timeout", "statement_cache_size",
    "sslaccept", "sslidentity", "sslpassword",
}  # fmt: skip


class Rows(Protocol):
    def fetchone(self) -> tuple[object, ...] | None: ...


class Cursor(Protocol):
    def copy(self, statement: str) -> AbstractContextManager[Iterable[bytes]]: ...


class Connection(AbstractContextManager["Connection"], Protocol):
    read_only: bool
    isolation_level: int

    def execute(self, query: str, params: tuple[str, ...] = ()) -> Rows: ...
    def cursor(self) -> Cursor: ...


class Driver(Protocol):
    """The part of psycopg's interface that is used."""

    Error: type[Exception]
    OperationalError: type[Exception]

    def connect(self, address: str, **options: object) -> Connection: ...


REPEATABLE_READ = 3
"""psycopg's `IsolationLevel`: all tables are of one moment."""


def read_files(paths: Iterable[Path]) -> dict[str, str]:
    """CSV texts by the table's name, of files that are called after their tables, and of folders of such.
    Raises CommandError."""
    files = [file for path in paths for file in (sorted(path.glob("*.csv")) if path.is_dir() else [path])]
    names = {name.lower(): name for name in TABLES}
    found: dict[str, str] = {}
    for file in files:
        name = names.get(file.stem.strip('"').lower())
        if name is None and file not in paths:
            continue  # a folder may have further tables
        if name is None or name in found:
            problem = "is not called after a table" if name is None else f"is the second one of {name}"
            known = ", ".join(f"{table}.csv" for table in TABLES)
            raise CommandError(f"{file} {problem}: there are {known}", ExitStatus.REJECTED)
        try:
            found[name] = file.read_text(encoding="utf-8-sig")
        except OSError as error:
            raise CommandError(f"{file} cannot be read: {error.strerror}", ExitStatus.REJECTED) from None
        except UnicodeDecodeError:
            raise CommandError(f"{file} is not UTF-8", ExitStatus.REJECTED) from None
    return found


def read_database(url: str) -> dict[str, str]:
    """CSV texts by the table's name, read in one read-only transaction with a consistent snapshot. Raises
    CommandError, which never has the password."""
    address, schema = libpq_address(url)
    psycopg = driver()
    try:
        with psycopg.connect(
            address, connect_timeout=CONNECT_TIMEOUT, client_encoding="utf8", application_name="gatekeeper"
        ) as connection:
            # Before the first statement, with which psycopg begins its transaction.
            connection.read_only, connection.isolation_level = True, REPEATABLE_READ
            if schema:
                quoted = '"' + schema.replace('"', '""') + '"'
                # SET takes no parameters; the last one has it hold for this transaction only.
                connection.execute("SELECT set_config('search_path', %s, true)", (quoted,))
            # A table that this release of LiteLLM has not got is one without rows; that of the keys has all.
            return {
                table: copied(connection, table) if has_table(connection, table) else without_rows(table)
                for table in TABLES
                if table != KEYS or has_table(connection, table)
            }
    except psycopg.OperationalError as error:
        said = without_password(str(error), url)
        raise CommandError(f"the database of LiteLLM: {said}", ExitStatus.UNREACHABLE) from None
    except psycopg.Error as error:
        # Its text may be that of the address.
        raise CommandError(
            f"the database of LiteLLM cannot be read ({type(error).__name__}): check the address "
            "(postgresql://USER:PASSWORD@HOST/DATABASE), and that USER may select from LiteLLM's tables",
            ExitStatus.REJECTED,
        ) from None


def driver() -> Driver:
    """psycopg, which is not installed with the gateway. Raises CommandError."""
    try:
        return cast("Driver", importlib.import_module("psycopg"))
    except ImportError:
        raise CommandError(
            "--database needs psycopg, which is not installed: `pip install 'gatekeeper-gemini[litellm]'`, "
            "or export the tables and give them by --csv",
            ExitStatus.USAGE,
        ) from None


def libpq_address(url: str) -> tuple[str, str | None]:
    """The address without Prisma's own parameters, and the schema that these name. Raises CommandError."""
    try:
        parts = urlsplit(url)
    except ValueError:
        parts = urlsplit("")
    if parts.scheme not in ("postgresql", "postgres"):
        raise CommandError(
            "--database is no address of PostgreSQL: postgresql://USER:PASSWORD@HOST:5432/DATABASE",
            ExitStatus.USAGE,
        )
    query = parse_qsl(parts.query, keep_blank_values=True)
    kept = urlencode([(name, value) for name, value in query if name not in PRISMA])
    return urlunsplit(parts._replace(query=kept)), dict(query).get(SCHEMA)


def without_password(text: str, url: str) -> str:
    """A message of the driver's on one line, without the password."""
    password = urlsplit(url).password
    for secret in filter(None, (password, unquote(password) if password else None)):
        text = text.replace(secret, "***")
    return " ".join(text.split())


def has_table(connection: Connection, table: str) -> bool:
    # In quotes: without them PostgreSQL reads a name in lower case.
    row = connection.execute("SELECT to_regclass(%s)", (f'"{table}"',)).fetchone()
    return row is not None and row[0] is not None


def without_rows(table: str) -> str:
    return ",".join(TABLES[table]) + "\n"


def copied(connection: Connection, table: str) -> str:
    """The whole table, whose name has capitals."""
    statement = f'COPY (SELECT * FROM "{table}") TO STDOUT (FORMAT csv, HEADER)'  # noqa: S608  one of TABLES
    with connection.cursor().copy(statement) as rows:
        return b"".join(bytes(row) for row in rows).decode()
