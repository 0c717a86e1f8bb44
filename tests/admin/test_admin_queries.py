"""People's SQL has a process of its own: what it does there, and for how long, nobody else notices."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest
import trio
from rig import process
from rig.cases import cases
from rig.gateway import running
from rig.standin import standing_in

from gatekeeper.ledger.analytics import sql_query, worker
from gatekeeper.ledger.analytics.messages import QueryRefused
from gatekeeper.ledger.analytics.sql_guard import TEMP_DIR
from gatekeeper.ledger.analytics.sql_query import MIB, Limits, environment, parse_result

LONG = "SELECT sleep_ms(3_600_000)"
GENERATE = "/gemini/v1beta/models/gemini-2.5-flash:generateContent?key=k"
COUNT = "SELECT count(*) FROM calls"
OPENED = "import duckdb; print(duckdb.connect({!r}, read_only={}).sql('SELECT model FROM calls').fetchall())"


async def sql(gateway: Any, query: str) -> tuple[int, Any]:
    answer = await gateway.client.post("/sql", json={"query": query})
    return answer.status_code, answer.json()


@asynccontextmanager
async def asking(gateway: Any, query: str) -> AsyncIterator[list[Any]]:
    """While the query runs in its process; afterwards the list has its answer."""
    answers: list[Any] = []

    async def ask() -> None:
        answers.append(await sql(gateway, query))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(ask)
        while not readers_of(os.getpid()):
            await trio.sleep(0.01)
        yield answers


async def test_calls_and_questions_are_answered_while_a_query_runs_into_its_time_limit(tmp_path):
    async with standing_in() as google, running(tmp_path, google.url) as gateway:
        gateway.gateway.ledger.analytics.sql_runner.limits = Limits(seconds=2)
        async with asking(gateway, LONG) as answers:
            for _ in range(3):
                assert (await gateway.client.post(GENERATE, json={})).status_code == 200
            calls = (await gateway.client.get("/calls")).json()
            spend = (await gateway.client.get("/spend")).json()
            assert answers == [], "the query is over before anything was asked"
            assert (len(calls["calls"]), spend["total"]["calls"]) == (3, 3)
            assert "partial" not in calls | spend
        ((status, problem),) = answers
        assert (status, problem["field"]) == (400, "query")
        assert "took longer than 2 s" in problem["detail"]
        assert (await sql(gateway, COUNT))[1]["rows"] == [[3]]


async def test_one_that_cannot_be_interrupted_is_killed(admin, monkeypatch):
    monkeypatch.setattr(sql_query, "STARTUP_SECONDS", 0.0)
    admin.ledger.analytics.sql_runner.limits = Limits(seconds=0.05)
    status, problem = await sql(admin, COUNT)
    assert (status, problem["detail"]) == (400, "The query took longer than 0.05 s and was ended")


@cases(
    ("limits", "query", "words"),
    [
        (
            Limits(memory=200 * MIB),
            "SELECT list(range) FROM range(20_000_000)",
            "more than the 200 MiB of memory",
        ),
        (Limits(memory=MIB), COUNT, "more than the 1 MiB of memory"),
        (Limits(response=1000), "SELECT 'ä' || range FROM range(200)", "larger than 0.000954 MiB"),
    ],
)
async def test_a_query_that_passes_a_limit_is_told_which(admin, limits, query, words):
    (admin.gateway.settings.data / TEMP_DIR).mkdir()
    admin.ledger.analytics.sql_runner.limits = limits
    status, problem = await sql(admin, query)
    assert status == 400
    assert words in problem["detail"]
    assert "gatekeeper sql --exec" in problem["detail"]
    assert not (admin.gateway.settings.data / TEMP_DIR).exists()


async def test_one_query_waits_for_another_but_not_for_long(admin, monkeypatch):
    monkeypatch.setattr(worker, "SHARE_TIMEOUT", 0.05)
    async with asking(admin, LONG) as answers:
        status, problem = await sql(admin, COUNT)
        assert (status, answers) == (503, [])
        assert "Another query is running" in problem["detail"]
        admin.ledger.analytics.sql_runner.stop()
    assert answers[0][0] == 503
    assert "stopping" in answers[0][1]["detail"]


async def test_the_file_is_open_to_other_readers_while_a_query_runs_and_to_no_writer(admin):
    admin.priced()
    async with asking(admin, LONG):
        file = str(admin.gateway.settings.data / "gatekeeper.duckdb")
        assert (await opened(file, "True")).stdout == b"[('gemini-2.5-flash',)]\n"
        assert b"Could not set lock" in (await opened(file, "False")).stderr
        admin.ledger.analytics.sql_runner.stop()


async def opened(file: str, read_only: str) -> Any:
    """Another program's look into the file. Not ours: to close it here would take our own lock off."""
    return await trio.run_process(
        [sys.executable, "-c", OPENED.format(file, read_only)],
        capture_stdout=True,
        capture_stderr=True,
        check=False,
    )


async def test_a_query_that_begins_during_a_loan_sees_what_came_since(admin):
    admin.priced()
    await admin.post("/sql/lend", {"seconds": 60})
    admin.priced(model="late")
    _, found = await sql(admin, "SELECT model FROM calls")
    assert (found["rows"], found["partial"]) == ([["late"]], True)
    assert "another program" in found["partial_reason"]
    await admin.post("/sql/return")
    _, found = await sql(admin, COUNT)
    assert (found["rows"], "partial" in found) == ([[2]], False)


@asynccontextmanager
async def served_asking(folder: Path) -> AsyncIterator[tuple[process.Served, int, list[Any]]]:
    """A gateway in a process, while a query runs in another; what comes of that is in the list."""
    answers: list[Any] = []

    async def ask(served: process.Served) -> None:
        try:
            answers.append(await served.client.post("/sql", json={"query": LONG}))
        except httpx2.TransportError as error:
            answers.append(error)

    async with process.serving(folder, "--sandbox") as served, trio.open_nursery() as nursery:
        nursery.start_soon(ask, served)
        while not (readers := readers_of(served.process.pid)):
            await trio.sleep(0.01)
        yield served, readers[0], answers


async def test_a_stop_does_not_wait_for_a_query(tmp_path):
    async with served_asking(tmp_path) as (served, _, answers):
        with trio.fail_after(5):
            assert await served.stop() == 0
    assert answers[0].status_code == 503


async def test_a_gateway_that_is_killed_takes_the_query_with_it(tmp_path):
    async with served_asking(tmp_path) as (served, reader, _):
        await served.kill()
        with trio.fail_after(5):
            while alive(reader):
                await trio.sleep(0.01)


def readers_of(pid: int) -> list[int]:
    """The processes that a gateway's queries run in."""
    found = [children.read_text().split() for children in Path(f"/proc/{pid}/task").glob("*/children")]
    return [int(child) for children in found for child in children if reads(int(child))]


def reads(pid: int) -> bool:
    try:
        return "gatekeeper.ledger.analytics.sql_guard" in Path(f"/proc/{pid}/cmdline").read_text()
    except OSError:
        return False


def alive(pid: int) -> bool:
    """Whether it runs; one that has ended may wait to be looked at."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@cases("status", [-signal.SIGKILL, -signal.SIGSEGV, 1])
def test_an_answer_of_a_process_that_was_ended_is_none(status):
    with pytest.raises(QueryRefused, match="needed more than the 768 MiB"):
        parse_result(b"answer\n{}", status, Limits())


def test_no_key_of_ours_is_in_the_environment_of_a_query(monkeypatch):
    for name in ("GEMINI_API_KEY", "GATEKEEPER_MASTER_KEY", "LITELLM_MASTER_KEY", "DATABASE_URL"):
        monkeypatch.setenv(name, "secret")
    assert "secret" not in environment().values()
