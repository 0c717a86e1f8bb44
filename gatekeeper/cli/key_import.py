"""`gatekeeper keys import`: keys from a CSV file."""

from __future__ import annotations

import csv
import os
import sys
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO, cast

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
from gatekeeper.client.api_types import NewKey

SECRET = KeyField("secret", "key", "SECRET", "The secret itself.")
SWITCHES = {"true": True, "yes": True, "false": False, "no": False}
COLUMNS = {title: field for field in (*KEY_FIELDS, SECRET) for title in (field.name, field.flag)}


@click.command("import", epilog=examples("keys import new-keys.csv --out made.csv"))
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
    keys = read_keys(file)
    with opened(out, dry_run) as made:
        response = call_api(target, lambda client: client.key_bulk(keys, dry_run=dry_run))
        if as_json:
            print_json(response.raw)
        elif not dry_run:
            write_keys(made, response.value.keys)
    what = "valid: nothing was created" if dry_run else "created"
    print_note(f"{response.value.valid} key{'s' * (response.value.valid != 1)} {what}.")


def read_keys(file: TextIO) -> list[dict[str, object]]:
    """Raises CommandError with every fault, by line."""
    rows = csv.DictReader(file, strict=True)
    try:
        titles = [title.strip() for title in rows.fieldnames or ()]
        if unknown := [title for title in titles if title not in COLUMNS]:
            raise CommandError(f"column {unknown[0]!r}: there are {', '.join(COLUMNS)}", ExitStatus.REJECTED)
        rows.fieldnames = titles
        keys: list[dict[str, object]] = []
        faults: list[str] = []
        for row in rows:
            try:
                keys.append(key_of(cast("Mapping[str | None, str | None]", row)))
            except click.BadParameter as error:
                faults.append(f"line {rows.line_num}: {error.message}")
    except csv.Error as error:
        raise CommandError(f"line {rows.line_num}: this is no CSV: {error}", ExitStatus.REJECTED) from None
    except UnicodeDecodeError:
        raise CommandError("the file is not UTF-8", ExitStatus.REJECTED) from None
    if faults:
        raise CommandError(faults[0], ExitStatus.REJECTED, *faults[1:])
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
    """Where the secrets go. A file is made before the keys are, because a key whose secret cannot be written
    is of no use; it is removed again if there are none."""
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
        except CommandError:
            out.unlink()
            raise


def write_keys(file: TextIO, keys: tuple[NewKey, ...]) -> None:
    rows = csv.writer(file, lineterminator="\n")
    rows.writerow(["key_alias", "token_id", "key"])
    rows.writerows([(key.key_alias or "", key.token_id, key.key) for key in keys])
    file.flush()
