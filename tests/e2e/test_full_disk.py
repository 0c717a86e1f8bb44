"""A disk that fills up under load, with all that a gateway writes on it, its log too, and empties again."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
import trio
from rig.disk import fill, small_disk
from rig.process import PATIENCE, Served, rows_in_file, serving
from rig.standin import Reply, StandIn
from rig.wire import Answer, exchange

KEY = {"GEMINI_API_KEY": "AIzaOfTheTests"}
MODEL = "POST /gemini/v1beta/models/gemini-2.5-flash"
# Rows as large as they can be, so that it takes a few hundred of them to use up the journal's room.
LARGE = ["tags: " + ",".join(f"{number:0128}" for number in range(64)), "x-goog-api-key: k"]
ANSWER = b'{"candidates": [], "usageMetadata": {"promptTokenCount": 1, "totalTokenCount": 1}}'
CALLERS, STREAMS = 4, 10


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    with small_disk(tmp_path / "disk", 48) as disk:
        yield disk


class Load:
    """Callers that call until they are told to stop, and streams that end when they are told to."""

    def __init__(self, google: StandIn) -> None:
        self.answers: list[Answer] = []
        self.stopped = False
        self.release = trio.Event()
        google.script = self.answer

    async def answer(self, reply: Reply) -> None:
        if b"stream" in reply.asked.target:
            await self.release.wait()
        await reply.json(ANSWER)

    async def call(self, served: Served, action: str = "generateContent") -> Answer:
        answer = await exchange(served.url, f"{MODEL}:{action}", body=b"{}", headers=LARGE)
        self.answers.append(answer)
        return answer

    async def keep_calling(self, served: Served) -> None:
        while not self.stopped:
            await self.call(served)

    def ids(self, *statuses: int) -> list[str]:
        found = [answer for answer in self.answers if answer.status in statuses]
        return sorted(answer.headers["x-gatekeeper-call-id"] for answer in found)


async def readiness(served: Served, status: int) -> str:
    """What `/readyz` says, once it has this status."""
    with trio.fail_after(PATIENCE):
        while (answer := await served.client.get("/readyz")).status_code != status:
            await trio.sleep(0.05)
    return answer.text


async def refused(load: Load) -> None:
    """Returns once a call was."""
    with trio.fail_after(PATIENCE):
        while load.answers[-1].status != 503:
            await trio.sleep(0.01)


async def fill_up(served: Served, load: Load, disk: Path) -> Path:
    """Under load, until calls are refused; then the streams that were open are answered."""
    load.stopped, load.release = False, trio.Event()
    with trio.fail_after(PATIENCE):
        async with trio.open_nursery() as streams:
            for _ in range(STREAMS):
                streams.start_soon(load.call, served, "streamGenerateContent?alt=sse")
            async with trio.open_nursery() as callers:
                for _ in range(CALLERS):
                    callers.start_soon(load.keep_calling, served)
                while len(load.answers) < 20:
                    await trio.sleep(0.01)
                filler = fill(disk)
                await refused(load)
                load.stopped = True
            load.release.set()
    return filler


async def test_every_answered_call_has_its_row_and_the_gateway_goes_on(disk: Path, google: StandIn) -> None:
    folder, load = disk / "gateway", Load(google)
    async with serving(folder, "--upstream", google.url, **KEY) as served:
        filler = await fill_up(served, load, disk)
        assert "journal" in await readiness(served, 503)
        await served.kill()
    answered = load.ids(200)
    assert len(answered) > 50 + STREAMS
    filler.unlink()

    load.answers.clear()
    async with serving(folder, "--upstream", google.url, **KEY) as served:
        filler = await fill_up(served, load, disk)
        await readiness(served, 503)
        moved = await served.client.post("/sql/lend", json={"seconds": 1})
        assert moved.status_code == 503, "the analytics file cannot grow either"
        filler.unlink()
        await readiness(served, 200)
        assert (await load.call(served)).status == 200
        assert await served.stop() == 0
    statuses = Counter(answer.status for answer in load.answers)
    assert statuses.keys() == {200, 503}
    rows = Counter(str(row["id"]) for row in rows_in_file(served.data))
    assert set(rows.values()) == {1}
    assert set(answered) | set(load.ids(200, 503)) <= rows.keys()
    log = served.logged()
    assert log.count('"journal_write_failed"') <= 2, "once in each life, unless there was no room for it"
    assert log.count('"journal_recovered"') == 1
    assert "No space left" in log, "which the end of the trouble says again"
