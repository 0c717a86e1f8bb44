"""The ledger's tasks when something behind the calls fails: the trouble stays there, and is told once."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import trio
from rig.disk import disk_ends_at

from gatekeeper.ledger.call import CallRecord, Outcome
from gatekeeper.ledger.ledger import SYNC_INTERVAL, Ledger


@pytest.fixture
async def ledger(tmp_path: Path) -> AsyncIterator[Ledger]:
    ledger = Ledger(tmp_path, "UTC")
    yield ledger
    await ledger.close()


def end(ledger: Ledger, name: str) -> None:
    ledger.end(CallRecord(id=name, started_at=1, method="POST", path="/", outcome=Outcome.OK))


async def test_a_full_disk_that_a_call_finds_is_told_once_and_so_is_its_end(
    ledger: Ledger, tmp_path: Path, capsys: pytest.CaptureFixture[str], nursery: trio.Nursery
) -> None:
    nursery.start_soon(ledger._sync)
    size = (tmp_path / "journal" / "00000001.ndjson").stat().st_size
    with disk_ends_at(size + 10):
        for name in "abc":
            end(ledger, name)
            assert ledger.journal.error
            await trio.sleep(2 * SYNC_INTERVAL)
    with trio.fail_after(5):
        while ledger.journal.error:
            await trio.sleep(SYNC_INTERVAL)
    await trio.sleep(2 * SYNC_INTERVAL)
    told = capsys.readouterr().err
    assert (told.count("journal_write_failed"), told.count("journal_recovered")) == (1, 1)
