"""The ledger's tasks when something behind the calls fails: the trouble stays there, and is told once."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import trio
from rig.disk import disk_ends_at
from trio.testing import MockClock

from gatekeeper.ledger.attempts import FIRST_PAUSE
from gatekeeper.ledger.book import SYNC, Ledger
from gatekeeper.ledger.entry import Call, Outcome, Position


@pytest.fixture
async def ledger(tmp_path: Path) -> AsyncIterator[Ledger]:
    ledger = Ledger(tmp_path, "UTC")
    yield ledger
    await ledger.close()


class Reader:
    """A consumer, which fails while it is told to."""

    def __init__(self) -> None:
        self.watermark = Position(0, 0)
        self.taken: list[str] = []
        self.offered = 0
        self.fails = False

    async def take(self, calls: list[Call], watermark: Position) -> None:
        self.offered += 1
        if self.fails:
            raise OSError(28, "No space left on device")
        self.taken += [call.id for call in calls]
        self.watermark = watermark


def end(ledger: Ledger, name: str) -> None:
    ledger.end(Call(id=name, started_at=1, method="POST", path="/", outcome=Outcome.OK))


async def test_a_consumer_that_fails_holds_up_no_other_and_is_asked_less_often(
    ledger: Ledger, mock_clock: MockClock, capsys: pytest.CaptureFixture[str]
) -> None:
    failing, well = Reader(), Reader()
    failing.fails = True
    ledger.consumers += [failing, well]
    for name in "abc":
        end(ledger, name)
        await ledger._feed_each()
    assert (well.taken, failing.offered, ledger.behind) == (["a", "b", "c"], 1, ["Reader"])
    for pause in (FIRST_PAUSE, 2 * FIRST_PAUSE):
        mock_clock.jump(pause)
        for _ in range(3):
            await ledger._feed_each()
    assert failing.offered == 3
    failing.fails = False
    mock_clock.jump(60)
    await ledger._feed_each()
    assert (failing.taken, ledger.behind) == (["a", "b", "c"], [])
    told = capsys.readouterr().out
    assert (told.count("ledger_trouble"), told.count("ledger_well_again")) == (1, 1)


async def test_a_full_disk_that_a_call_finds_is_told_once_and_so_is_its_end(
    ledger: Ledger, tmp_path: Path, capsys: pytest.CaptureFixture[str], nursery: trio.Nursery
) -> None:
    nursery.start_soon(ledger._sync)
    size = (tmp_path / "journal" / "00000001.ndjson").stat().st_size
    with disk_ends_at(size + 10):
        for name in "abc":
            end(ledger, name)
            assert ledger.journal.fault
            await trio.sleep(2 * SYNC)
    with trio.fail_after(5):
        while ledger.journal.fault:
            await trio.sleep(SYNC)
    await trio.sleep(2 * SYNC)
    told = capsys.readouterr().out
    assert (told.count("journal_cannot_be_written"), told.count("journal_well_again")) == (1, 1)
