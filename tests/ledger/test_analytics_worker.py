"""The worker between journal and analytics file, when that file is deleted, replaced, damaged or lent."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
import trio
import uuid_utils
from rig.disk import disk_ends_at
from rig.rotation import rotate
from trio.testing import MockClock

from gatekeeper.data_dir import ANALYTICS_FILE as NAME
from gatekeeper.ledger.analytics.pending_rows import BATCH_ROWS
from gatekeeper.ledger.analytics.worker import LENT, UNUSABLE
from gatekeeper.ledger.call import CallRecord, Outcome
from gatekeeper.ledger.filters import Filter
from gatekeeper.ledger.ledger import Ledger


@pytest.fixture
async def ledger(tmp_path: Path) -> AsyncIterator[Ledger]:
    ledger = Ledger(tmp_path, "UTC")
    yield ledger
    await ledger.close()


def made(ledger: Ledger, count: int = 1) -> list[str]:
    """The ids of so many finished calls, oldest first."""
    calls = [
        CallRecord(id=str(uuid_utils.uuid7()), started_at=number, method="POST", path="/", outcome=Outcome.OK)
        for number in range(count)
    ]
    for call in calls:
        ledger.begin(call)
        ledger.end(call)
    return [call.id for call in calls]


async def found(ledger: Ledger) -> list[str]:
    return [row["id"] for row in (await ledger.analytics.calls(Filter(), 1000)).value[::-1]]


async def moved(ledger: Ledger) -> None:
    await ledger.consumers.run_last_rounds()


async def let_go(ledger: Ledger) -> None:
    await ledger.analytics.close()


async def held(ledger: Ledger) -> None:
    pass


def deletes(file: Path, copy: Path) -> None:
    file.unlink()


def deletes_all(file: Path, copy: Path) -> None:
    for path in file.parent.glob(f"{NAME}*"):
        path.unlink()


def puts_an_old_copy_back(file: Path, copy: Path) -> None:
    copy.rename(file)


@pytest.mark.parametrize("state", [held, let_go])
@pytest.mark.parametrize("disturb", [deletes, deletes_all, puts_an_old_copy_back])
async def test_a_file_that_is_gone_or_old_swallows_no_call(
    ledger: Ledger,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    state: Callable,
    disturb: Callable[[Path, Path], None],
) -> None:
    """The journal still has all of them here."""
    file, copy = tmp_path / NAME, tmp_path / "copy"
    ids = made(ledger, 3)
    await moved(ledger)
    await let_go(ledger)
    shutil.copy(file, copy)
    ids += made(ledger, 3)
    await moved(ledger)
    await state(ledger)
    disturb(file, copy)
    ids += made(ledger, 3)
    await moved(ledger)
    assert await found(ledger) == ids
    await moved(ledger)
    await let_go(ledger)
    assert await found(ledger) == ids
    assert ledger.analytics.watermark == ledger.journal.durable_position
    told = capsys.readouterr().err
    assert told.count("analytics_file_replaced") == 1
    assert ("analytics_file_was_deleted" in told) == (state is held)


async def test_nothing_is_discarded_of_what_the_new_file_lacks(ledger: Ledger, tmp_path: Path) -> None:
    made(ledger)
    rotate(ledger.journal)
    kept = made(ledger)
    await moved(ledger)
    ledger.consumers.discard()
    rotate(ledger.journal)
    kept += made(ledger)
    (tmp_path / NAME).unlink()
    await moved(ledger)
    assert await found(ledger) == kept, "the first call was in a segment that was discarded before"
    assert ledger.analytics.watermark == ledger.journal.durable_position


async def test_a_file_of_another_journal_is_read_into_from_the_start(ledger: Ledger, tmp_path: Path) -> None:
    foreign = Ledger(tmp_path / "foreign", "UTC")
    for _ in range(3):
        rotate(foreign.journal)
        theirs = made(foreign)
        rotate(foreign.journal)
    await foreign.close()
    ids = made(ledger, 2)
    await moved(ledger)
    await let_go(ledger)
    (tmp_path / "foreign" / NAME).rename(tmp_path / NAME)
    ids += made(ledger, 2)
    await moved(ledger)
    await moved(ledger)
    assert set(ids) | set(theirs) <= set(await found(ledger))
    assert ledger.analytics.watermark == ledger.journal.durable_position


async def test_why_the_file_is_out_of_reach_is_told_apart(ledger: Ledger, tmp_path: Path) -> None:
    await ledger.analytics.lend(60)
    ids = made(ledger, 2)
    assert await found(ledger) == ids
    assert ledger.analytics.missing_reason == LENT
    ledger.analytics.end_loan()
    (tmp_path / NAME).write_bytes(b"no database" * 1000)
    assert await found(ledger) == ids
    assert ledger.analytics.missing_reason == UNUSABLE
    (tmp_path / NAME).unlink()
    assert await found(ledger) == ids
    assert ledger.analytics.missing_reason is None


async def test_rows_that_a_full_disk_keeps_from_a_shared_file_are_not_said_to_be_anothers(
    ledger: Ledger,
) -> None:
    made(ledger)
    await moved(ledger)
    made(ledger, BATCH_ROWS + 1)
    with disk_ends_at(1000):
        async with ledger.analytics.shared() as snapshot:
            assert (snapshot.attached, snapshot.missing_reason) == (True, UNUSABLE)


async def test_an_idle_worker_takes_no_thread(
    ledger: Ledger,
    autojump_clock: MockClock,
    nursery: trio.Nursery,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It moves what came, lets go of the file, and that is all, until something comes again."""
    works: list[str] = []

    async def work_here(work: Callable[[], object]) -> object:
        works.append(work.__name__)
        return work()

    monkeypatch.setattr(ledger.analytics, "_in_thread", work_here)
    nursery.start_soon(ledger.analytics.run)
    for _ in range(2):
        made(ledger)
        await moved(ledger)
        assert works
        works.clear()
        await trio.sleep(600)
        assert len(works) == 1, "it let go, once"
        works.clear()
