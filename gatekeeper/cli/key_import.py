"""`gatekeeper keys import`: keys from a CSV file."""

from __future__ import annotations

import csv
import os
import sys
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, TextIO, cast

import click

from gatekeeper.cli.conventions import (
    CommandError,
    ExitStatus,
    Target,
    call_api,
    examples,
    gateway_options,
    json_option,
)
from gatekeeper.cli.key_fields import KEY_FIELDS, KeyField
from gatekeeper.cli.output import print_json, print_note
from gatekeeper.client.api_types import ApiResponse
from gatekeeper.client.key_types import MadeKeys, NewKey
from gatekeeper.suggestions import did_you_mean

if TYPE_CHECKING:
    from gatekeeper.client.admin_api import Client

SECRET = KeyField("secret", "key", "SECRET", "The secret itself.")
SWITCHES = {"true": True, "yes": True, "false": False, "no": False}
FIELDS = (*KEY_FIELDS, SECRET)
COLUMNS = {title: field for field in FIELDS for title in (field.name, field.flag)}


class Row(NamedTuple):
    """`line` is the last of the row in the file, from 1; `key` has the fields of the API."""

    line: int
    key: dict[str, object]


@click.command("import", epilog=examples("keys import new-keys.csv --out made.csv"))
# -sig: Excel writes a byte order mark, which would be part of the first title.
@click.argument("file", type=click.File(encoding="utf-8-sig"))
@click.option("--out", type=click.Path(path_type=Path), metavar="FILE", help="A new file for the secrets.")
@click.option("--dry-run", is_flag=True, help="Look for faults only.")
@json_option
@gateway_options
def import_keys(target: Target, file: TextIO, out: Path | None, dry_run: bool, as_json: bool) -> None:
    """Create a key for each row of a CSV file, all of them or none.

    The first row names the columns, as the options of `keys create` (alias, max-budget) or as the API's
    fields (key_alias, max_budget). An empty cell is not set. The keys with their secrets are printed as CSV,
    or written to --out, which only its owner may read.
    """
    rows = read_rows(file)
    with opened(out, dry_run) as made:
        response = call_api(target, lambda client: create(client, rows, dry_run))
        if as_json:
            print_json(response.raw)
        elif not dry_run:
            write_keys(made, response.value.keys)
    what = "valid: nothing was created" if dry_run else "created"
    print_note(f"{response.value.valid} key{'s' * (response.value.valid != 1)} {what}.")


async def create(client: Client, rows: list[Row], dry_run: bool) -> ApiResponse[MadeKeys]:
    """Raises ApiError, and CommandError with the faults that the gateway has found, by line."""
    from gatekeeper.client.api_errors import BadRequest

    try:
        return await client.key_bulk([row.key for row in rows], dry_run=dry_run)
    except BadRequest as error:
        faults = error.problem.faults
        if not faults:
            raise
        said = [f"line {rows[fault.index].line}: {fault.detail}" for fault in faults]
        raise CommandError(said[0], ExitStatus.REJECTED, *said[1:], "no key was created") from None


def check_titles(titles: list[str]) -> None:
    """Raises CommandError."""
    if unknown := [title for title in titles if title not in COLUMNS]:
        known = did_you_mean(unknown[0], COLUMNS, f"there are {', '.join(field.flag for field in FIELDS)}")
        raise CommandError(f"column {unknown[0]!r}: {known}", ExitStatus.REJECTED)
    if twice := [
        title for number, title in enumerate(titles) if COLUMNS[title] in map(COLUMNS.get, titles[:number])
    ]:
        raise CommandError(f"column {twice[0]!r} is there twice", ExitStatus.REJECTED)


def read_rows(file: TextIO) -> list[Row]:
    """Raises CommandError with every fault, by line."""
    rows = csv.DictReader(file, strict=True)
    try:
        titles = [title.strip() for title in rows.fieldnames or ()]
        check_titles(titles)
        # Set again, so that cells are found by the titles without their blanks.
        rows.fieldnames = titles
        keys: list[Row] = []
        faults: list[str] = []
        for row in rows:
            try:
                keys.append(Row(rows.line_num, key_of(cast("Mapping[str | None, str | None]", row))))
            except click.BadParameter as error:
                faults.append(f"line {rows.line_num}: {error.message}")
    except csv.Error as error:
        raise CommandError(f"line {rows.line_num}: this is no CSV: {error}", ExitStatus.REJECTED) from None
    except UnicodeDecodeError:
        raise CommandError("the file is not UTF-8", ExitStatus.REJECTED) from None
    except OSError as error:
        raise CommandError(f"the file cannot be read: {error.strerror}", ExitStatus.USAGE) from None
    if faults:
        raise CommandError(faults[0], ExitStatus.REJECTED, *faults[1:])
    if not keys:
        raise CommandError(
            "the file has no row of a key: the first one names the columns", ExitStatus.REJECTED
        )
    return keys


def key_of(row: Mapping[str | None, str | None]) -> dict[str, object]:
    """The fields of one row. Raises BadParameter."""
    # csv's own mark of cells beyond the titles, and of missing ones.
    if None in row or None in row.values():
        raise click.BadParameter("it has not as many cells as the first row")
    cells = [(COLUMNS[title], text.strip()) for title, text in row.items() if title and text]
    return {field.name: read_cell(field, text) for field, text in cells if text}


def read_cell(field: KeyField, text: str) -> object:
    if not field.is_switch:
        try:
            return field.read(text)
        except click.BadParameter as error:
            raise click.BadParameter(f"{field.flag}: {error.message}") from None
    if text.lower() not in SWITCHES:
        raise click.BadParameter(f"{field.flag}: {text!r} is none of {', '.join(SWITCHES)}")
    return SWITCHES[text.lower()]


@contextmanager
def opened(out: Path | None, dry_run: bool) -> Generator[TextIO]:
    """The output for the secrets. A file is created before the keys, because a key without its secret is
    useless; it is removed again if no key was created."""
    if out is None or dry_run:
        yield sys.stdout
        return
    try:
        descriptor = os.open(out, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except OSError as error:
        raise CommandError(f"{out} cannot be created: {error.strerror}", ExitStatus.REJECTED) from None
    with os.fdopen(descriptor, "w", encoding="utf-8", newline="") as file:
        try:
            yield file
        # No key was made then. Whatever else goes wrong comes later, and the file may have the only secrets.
        except CommandError:
            out.unlink()
            raise


def write_keys(file: TextIO, keys: tuple[NewKey, ...]) -> None:
    rows = csv.writer(file, lineterminator="\n")
    rows.writerow(["key_alias", "token_id", "key"])
    rows.writerows([(key.key_alias or "", key.token_id, key.key) for key in keys])
    file.flush()
