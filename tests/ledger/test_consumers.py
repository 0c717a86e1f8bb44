"""The journal's consumers: each by itself, told how far it is behind, and none holds the disk for ever."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
import trio
import uuid_utils
from trio.testing import MockClock

from gatekeeper.ledger import consumers
from gatekeeper.ledger.call import CallRecord, Outcome, Position
from gatekeeper.ledger.consumers import INITIAL_BACKOFF, Batch
from gatekeeper.ledger.filters import Filter
from gatekeeper.ledger.ledger import Ledger

SEGMENT = 20_000  # bytes
HOLDS = 4 * SEGMENT


@pytest.fixture
async def ledger(tmp_path: Path) -> AsyncIterator[Ledger]:
    ledger = Ledger(tmp_path, "UTC")
    ledger.journal._segment_bytes = SEGMENT
    yield ledger
    await ledger.close()


class Sink:
    """A consumer that only tests know; it fails, or hangs, for as long as it is told to."""

    def __init__(self) -> None:
        self.watermark = Position(0, 0)
        self.taken: list[str] = []
        self.offered = 0
        self.fails = self.hangs = False

    async def consume(self, batch: Batch) -> None:
        self.offered += 1
        if self.hangs:
            await trio.sleep_forever()
        if self.fails:
            raise OSError(28, "No space left on device")
        self.taken += [call.id for _, call in batch.calls]
        self.watermark = batch.end


class Keeper(Sink):
    """One that must have every call."""


def end(ledger: Ledger, count: int = 1) -> list[str]:
    ids = [str(uuid_utils.uuid7()) for _ in range(count)]
    for call_id in ids:
        ledger.end(CallRecord(id=call_id, started_at=1, method="POST", path="/" * 300, outcome=Outcome.OK))
    return ids


def journal_size(folder: Path) -> int:
    return sum(path.stat().st_size for path in (folder / "journal").iterdir())


async def test_a_consumer_that_fails_holds_up_no_other_and_is_asked_less_often(
    ledger: Ledger, mock_clock: MockClock, capsys: pytest.CaptureFixture[str]
) -> None:
    failing, well = Sink(), Sink()
    failing.fails = True
    subscription = ledger.consumers.subscribe(failing)
    ledger.consumers.subscribe(well)
    ids: list[str] = []
    for _ in range(3):
        ids += end(ledger)
        await ledger.consumers.run_rounds()
    assert (well.taken, failing.offered, ledger.consumers.lagging) == (ids, 1, [subscription])
    for pause in (INITIAL_BACKOFF, 2 * INITIAL_BACKOFF):
        mock_clock.jump(pause)
        for _ in range(3):
            await ledger.consumers.run_rounds()
    assert failing.offered == 3
    failing.fails = False
    mock_clock.jump(60)
    await ledger.consumers.run_rounds()
    assert (failing.taken, ledger.consumers.lagging) == (ids, [])
    told = capsys.readouterr().err
    assert (told.count("ledger_task_failed"), told.count("ledger_task_recovered")) == (1, 1)


async def test_the_lag_is_the_bytes_not_taken_and_the_time_since_none_were(
    ledger: Ledger, tmp_path: Path, mock_clock: MockClock
) -> None:
    sink = Sink()
    subscription = ledger.consumers.subscribe(sink)
    end(ledger, 50)
    await ledger.consumers.run_rounds()
    assert subscription.lag == (0, 0.0)
    sink.fails = True
    before = journal_size(tmp_path)
    end(ledger, 100)
    mock_clock.jump(7)
    await ledger.consumers.run_rounds()
    assert len(list((tmp_path / "journal").iterdir())) > 1
    assert subscription.lag == (journal_size(tmp_path) - before, 7.0)


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rounds and pauses that tests can wait for; a clock that jumps would not wait for threads."""
    for name in ("CONSUME_INTERVAL", "INITIAL_BACKOFF", "MAX_BACKOFF", "SINK_CLOSE_TIMEOUT"):
        monkeypatch.setattr(consumers, name, 0.02)


async def until(condition: Callable[[], bool]) -> None:
    with trio.fail_after(20):
        while not condition():
            await trio.sleep(0.01)


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("trouble", ["fails", "hangs"])
async def test_a_sink_in_trouble_for_ever_slows_nobody_and_holds_back_a_bounded_journal(
    ledger: Ledger,
    tmp_path: Path,
    nursery: trio.Nursery,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    trouble: str,
) -> None:
    broken, keeper = Sink(), Keeper()
    setattr(broken, trouble, True)
    subscription = ledger.consumers.subscribe(broken, retention_bytes=HOLDS)
    ledger.consumers.subscribe(keeper, retention_bytes=None)
    nursery.start_soon(ledger.run)
    begun = trio.current_time()
    ids: list[str] = []
    written = 0
    for _ in range(10):
        size = journal_size(tmp_path)
        ids.extend(end(ledger, 100))
        written += journal_size(tmp_path) - size
        await until(lambda: keeper.taken == ids)
        await until(lambda: ledger.analytics.subscription.lag.size == 0)
        await until(lambda: journal_size(tmp_path) <= HOLDS)
    assert written > 3 * HOLDS
    assert len((await ledger.analytics.calls(Filter(), 2000)).value) == len(ids)
    assert HOLDS - 2 * SEGMENT < subscription.lag.size <= HOLDS
    assert subscription.lag.seconds == pytest.approx(trio.current_time() - begun, abs=1)
    monkeypatch.setattr(consumers, "SLOW_SECONDS", 0.0)
    assert ledger.consumers.lagging == [subscription], "also one that hangs"
    assert subscription.lost > 0
    assert "journal_discarded_before_consumed" in capsys.readouterr().err
    if trouble == "fails":
        broken.fails = False
        await until(lambda: subscription.lag.size == 0)
        assert broken.taken == ids[subscription.lost :], "the gap is what was counted, and nothing else"


async def test_one_that_must_have_every_call_holds_back_all_of_them(
    ledger: Ledger, tmp_path: Path, mock_clock: MockClock
) -> None:
    keeper = Keeper()
    keeper.fails = True
    ledger.consumers.subscribe(keeper, retention_bytes=None)
    ids = end(ledger, 1000)
    for _ in range(3):
        await ledger.consumers.run_rounds()
        ledger.consumers.discard()
    assert journal_size(tmp_path) > 3 * HOLDS
    keeper.fails = False
    mock_clock.jump(60)
    await ledger.consumers.run_rounds()
    assert keeper.taken == ids


async def test_a_stop_waits_for_a_sink_for_some_seconds(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(consumers, "SINK_CLOSE_TIMEOUT", 0.1)
    sink = Sink()
    sink.hangs = True
    ledger.consumers.subscribe(sink)
    end(ledger)
    with trio.fail_after(5):
        await ledger.consumers.run_last_rounds()
    assert sink.offered == 1


@pytest.mark.usefixtures("quick")
async def test_one_that_takes_nothing_for_now_is_asked_again_each_round(
    ledger: Ledger, nursery: trio.Nursery
) -> None:
    class Later(Sink):
        async def consume(self, batch: Batch) -> None:
            self.offered += 1
            if self.offered > 5:
                self.watermark = batch.end

    sink = Later()
    subscription = ledger.consumers.subscribe(sink)
    nursery.start_soon(ledger.run)
    end(ledger)
    await until(lambda: subscription.lag.size == 0)
    assert (sink.offered, ledger.consumers.lagging) == (6, [])
