"""Which call a continuation token came from: within its key, for a week, in memory and on disk."""

from __future__ import annotations

from pathlib import Path

import pytest

from gatekeeper.keys.long_decodes import KEPT_MICROS, Continuation, LongDecodes, SqliteContinuationStore
from gatekeeper.keys.sqlite_store import SqliteKeyStore

NOW = 1_800_000_000_000_000


def reported(number: int, key_id: str = "k", ended_at: int | None = None) -> Continuation:
    return Continuation(
        key_id, f"digest{number}", f"call{number}", NOW + number if ended_at is None else ended_at
    )


class Opened:
    """The tokens of one process after another, on one file."""

    def __init__(self, path: Path, limit: int = 100) -> None:
        self.path, self.limit = path, limit

    async def __call__(self) -> LongDecodes:
        decodes = LongDecodes(SqliteContinuationStore(SqliteKeyStore(self.path)), self.limit)
        await decodes.load()
        return decodes


@pytest.fixture
def opened(tmp_path: Path) -> Opened:
    return Opened(tmp_path / "keys.sqlite")


async def test_a_token_is_found_by_its_key_only(opened: Opened) -> None:
    decodes = await opened()
    decodes.add([reported(1, "k"), reported(2, "l")])
    assert decodes.find("k", "digest1", NOW) == "call1"
    assert decodes.find("l", "digest2", NOW) == "call2"
    assert decodes.find("l", "digest1", NOW) is None


async def test_it_expires(opened: Opened) -> None:
    decodes = await opened()
    decodes.add([reported(0)])
    assert decodes.find("k", "digest0", NOW + KEPT_MICROS - 1) == "call0"
    assert decodes.find("k", "digest0", NOW + KEPT_MICROS) is None


async def test_stored_tokens_are_there_in_the_next_process(opened: Opened) -> None:
    decodes = await opened()
    await decodes.store([])
    await decodes.store([reported(1), reported(2)])
    await decodes.store([reported(2)])  # offered again after a crash
    again = await opened()
    assert [again.find("k", f"digest{number}", NOW) for number in (1, 2, 3)] == ["call1", "call2", None]


async def test_the_later_call_with_a_token_counts(opened: Opened) -> None:
    decodes = await opened()
    later = reported(1)._replace(call_id="later")
    decodes.add([reported(1), later])
    await decodes.store([reported(1), later])
    for each in (decodes, await opened()):
        assert each.find("k", "digest1", NOW) == "later"


async def test_only_the_latest_are_kept(tmp_path: Path) -> None:
    opened = Opened(tmp_path / "keys.sqlite", limit=3)
    decodes = await opened()
    several = [reported(number) for number in range(5)]
    decodes.add(several)
    await decodes.store(several)
    for each in (decodes, await opened(), await Opened(opened.path)()):
        found = [each.find("k", f"digest{number}", NOW) for number in range(5)]
        assert found == [None, None, "call2", "call3", "call4"]


async def test_expired_ones_leave_the_disk(opened: Opened) -> None:
    decodes = await opened()
    await decodes.store([reported(0)])
    await decodes.store([reported(1, ended_at=NOW + KEPT_MICROS)])
    assert (await opened()).find("k", "digest0", NOW) is None
