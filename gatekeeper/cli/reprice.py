"""`gatekeeper prices reprice`: reprices past calls in the analytics file, and charges keys the difference.

A running gateway lends the file: this process prices the rows, so that the gateway's calls do not wait.
Without a gateway, this process locks the data folder and first moves the journal's calls into the file.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import uuid4

import click
import msgspec

from gatekeeper.cli.borrowed_file import borrowed
from gatekeeper.cli.catalogue import loaded_catalogue, parsed_time
from gatekeeper.cli.conventions import (
    CommandError,
    ExitStatus,
    Target,
    call_api,
    examples,
    gateway_options,
    load_settings,
    local_json_option,
    setting_flags,
)
from gatekeeper.cli.output import print_json, print_note, print_table
from gatekeeper.cli.table_layout import TableColumn
from gatekeeper.client.columns import Cell, Column, TextRole
from gatekeeper.client.formats import pluralized
from gatekeeper.settings import OwnPrices
from gatekeeper.times import to_micros

if TYPE_CHECKING:
    from gatekeeper.ledger.analytics.reprice import CallChange, ModelChange, Report, Run
    from gatekeeper.settings import Settings

# Until this process has opened the file, which no other can open then. Afterwards, should it die, the gateway
# takes the file back.
LOAN_SECONDS = 60
MEMORY = "1GB"
TEMP_DIR = "gatekeeper.reprice.tmp"


@click.command(
    "reprice",
    epilog=examples("prices reprice --since 2026-11-01 --dry-run", "prices reprice --since 30d --json"),
)
@click.option(
    "--since", required=True, metavar="TIME", help="Calls that began then or later: 2026-11-24, 30d."
)
@click.option("--until", metavar="TIME", help="Calls that began before then.")
@click.option("--dry-run", is_flag=True, help="Only print what would change.")
@local_json_option
@setting_flags("data", "prices")
@gateway_options
def reprice(
    target: Target,
    since: str,
    until: str | None,
    dry_run: bool,
    as_json: bool,
    config: Path | None,
    data: str | None,
    prices: str | None,
) -> int:
    """Reprice past calls, by the prices of their time.

    What they cost is calculated from the usage of their rows and the prices in force, your own included. The
    old figures stay in the table adjustments. A TIME is a span back from now (30d) or a date (2026-11-24, its
    midnight in UTC). Without a gateway at --url the file in --data is changed.
    """
    first = parsed_time(since, "--since", ExitStatus.USAGE)
    end = None if until is None else parsed_time(until, "--until", ExitStatus.USAGE)
    if end is not None and end <= first:
        raise CommandError(f"--until {until} is not after --since {since}", ExitStatus.USAGE)
    outcome = reprice_calls(
        target, lambda: load_settings({"data": data, "prices": prices}, config), first, end, dry_run=dry_run
    )
    if as_json:
        print_json(outcome.document())
    else:
        print_outcome(outcome)
    for fault in outcome.changes.faults:
        print_note(f"A fault kept {pluralized(fault.calls, 'call')} from being priced: {fault.reason}")
    return ExitStatus.INTERNAL_ERROR if outcome.changes.faults else ExitStatus.OK


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """The run, and what it has changed."""

    run_id: str
    dry_run: bool
    price_version: str
    since: datetime
    until: datetime | None
    changes: Report

    def document(self) -> bytes:
        """JSON: the run, and the report beside it."""
        known = msgspec.structs.asdict(self)
        report = msgspec.structs.asdict(known.pop("changes"))
        return msgspec.json.encode(known | report)


def reprice_calls(
    target: Target,
    settings: Callable[[], Settings],
    since: datetime,
    until: datetime | None,
    *,
    dry_run: bool,
) -> Outcome:
    """Reprices the calls that began in this time, with a gateway at `target` or without one, by the prices
    that it has. Raises CommandError."""
    from time import time_ns

    from gatekeeper.ledger.analytics.reprice import Run

    def run_by(own: OwnPrices | None) -> Run:
        return Run(
            id=uuid4(),
            at=time_ns() // 1000,
            since=to_micros(since),
            until=None if until is None else to_micros(until),
            catalogue=loaded_catalogue(own),
        )

    try:
        # Before the loan, in which calls wait for the file.
        own = call_api(target, lambda client: client.prices()).value.own_file
        with borrowed(target, LOAN_SECONDS) as file:
            run = run_by(OwnPrices(Path(own)) if own else None)
            report = _in_file(file, run, dry_run=dry_run)
    except CommandError as error:
        if error.status is not ExitStatus.UNREACHABLE:
            raise
        here = settings()
        run = run_by(here.own_prices)
        report = _without_gateway(here, error, run, dry_run=dry_run)
    return Outcome(
        run_id=str(run.id),
        dry_run=dry_run,
        price_version=run.catalogue.version,
        since=since,
        until=until,
        changes=report,
    )


def _in_file(file: Path, run: Run, *, dry_run: bool) -> Report:
    from gatekeeper.ledger.analytics.database import Database
    from gatekeeper.ledger.analytics.messages import AnalyticsError
    from gatekeeper.ledger.analytics.reprice import reprice
    from gatekeeper.ledger.analytics.uncharged_runs import mark_run

    if not file.exists():
        raise CommandError(f"the gateway's file {file} is not on this machine", ExitStatus.REJECTED)
    database = Database(file.parent, MEMORY, TEMP_DIR)
    try:
        database.attach()
        return reprice(
            database, run, dry_run=dry_run, before_commit=lambda: mark_run(file.parent, str(run.id))
        )
    except AnalyticsError as error:
        raise CommandError(f"{error}. Nothing was repriced", ExitStatus.REJECTED) from None
    finally:
        database.close()


def _without_gateway(settings: Settings, error: CommandError, run: Run, *, dry_run: bool) -> Report:
    """Under the lock of the data folder, so that no gateway starts meanwhile."""
    import trio

    from gatekeeper import data_dir
    from gatekeeper.data_stores import DataUnusable
    from gatekeeper.logs import configure_logs

    file = settings.data / data_dir.ANALYTICS_FILE
    if not (file.exists() or (settings.data / "journal").exists()):
        raise CommandError(
            f"{error} There are no calls in {settings.data} either: check --data", error.status
        )
    configure_logs()
    data_dir.set_private_umask()
    try:
        with data_dir.lock_data(settings.data, settings.keys_file, data_dir.REPRICING):
            print_note(f"No gateway responds, so this is done in {settings.data}.")
            return trio.run(lambda: _in_stores(settings, file, run, dry_run=dry_run))
    except data_dir.DataInUse as other:
        raise CommandError(f"a gateway uses {other.path}: give its --url", ExitStatus.REJECTED) from None
    except (DataUnusable, OSError) as problem:
        raise CommandError(f"{settings.data} cannot be used: {problem}", ExitStatus.REJECTED) from None


async def _in_stores(settings: Settings, file: Path, run: Run, *, dry_run: bool) -> Report:
    from gatekeeper.data_stores import open_data
    from gatekeeper.keys.repriced_spend import charge_repriced

    async with open_data(settings) as data:
        analytics = data.ledger.analytics
        # As a gateway does: all calls are in the file then, and it is closed.
        if not await analytics.lend(LOAN_SECONDS):
            raise CommandError(f"another program has {file}: wait until it is done", ExitStatus.REJECTED)
        try:
            report = _in_file(file, run, dry_run=dry_run)
        finally:
            # Before the keys are charged, which looks into the file.
            analytics.end_loan()
        await charge_repriced(data.registry, analytics, settings.data)
        return report


def print_outcome(outcome: Outcome) -> None:
    """Prints the counts, the sums by model and the largest changes."""
    changes = outcome.changes
    print(f"prices of {outcome.price_version}: {counts(changes, dry_run=outcome.dry_run)}")
    if changes.models:
        print()
        print_table(MODEL_COLUMNS, changes.models)
        print()
        print_table(CALL_COLUMNS, changes.largest)
    for unpriced in changes.unknown:
        print_note(f"The cost of {pluralized(unpriced.calls, 'call')} is unknown: {unpriced.reason}")


def counts(report: Report, *, dry_run: bool) -> str:
    verb = "would change" if dry_run else "changed"
    known = [
        (report.newly_priced, "newly priced"),
        (report.now_unknown, "now unknown"),
        (report.left_alone, "left alone"),
    ]
    details = ", ".join(f"{number:,} {words}" for number, words in known if number)
    said = f"{report.changed:,} of {report.looked_at:,} calls {verb}"
    return f"{said} ({details})" if details else said


def dollars(amount: str | None) -> Cell:
    return ("unknown", TextRole.WARNING) if amount is None else (f"${amount}", TextRole.PLAIN)


def difference(amount: str) -> Cell:
    sign = "" if amount.startswith("-") else "+"
    return f"{sign}{amount}", TextRole.ACCENT if Decimal(amount) else TextRole.DIM


def model_cell(row: ModelChange | CallChange) -> Cell:
    return ("no model", TextRole.DIM) if row.model is None else (row.model, TextRole.PLAIN)


MODEL_COLUMNS: tuple[Column[ModelChange], ...] = (
    Column("model", 24, model_cell),
    Column("calls", 0, lambda row: (f"{row.calls:,}", TextRole.PLAIN), right=True),
    Column("changed", 0, lambda row: (f"{row.changed:,}", TextRole.PLAIN), right=True),
    Column("before", 0, lambda row: dollars(row.old_usd), right=True),
    Column("after", 0, lambda row: dollars(row.new_usd), right=True),
    Column("difference", 0, lambda row: difference(row.difference_usd), right=True),
)
CALL_COLUMNS: tuple[Column[CallChange], ...] = (
    Column("largest changes", 0, lambda row: (row.id, TextRole.PLAIN)),
    TableColumn("model", 14, model_cell, drop=3),
    TableColumn("before", 0, lambda row: dollars(row.old_usd), right=True, drop=2),
    Column("after", 0, lambda row: dollars(row.new_usd), right=True),
    Column("difference", 0, lambda row: difference(row.difference_usd), right=True),
)
