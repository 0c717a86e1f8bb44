"""A gateway whose words cannot be written: it serves, loses no row, and stops as it should."""

from __future__ import annotations

import os
import select
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import httpx2
import pytest
import trio
from rig import warm
from rig.process import (
    COMMAND,
    PATIENCE,
    Process,
    Served,
    answers,
    end,
    environment,
    free_port,
    rows_in_file,
)
from rig.standin import Reply, StandIn
from rig.wire import exchange

from gatekeeper.runtime import NonBlockingWriter

GENERATE = "POST /gemini/v1beta/models/gemini-2.5-flash:generateContent?key=k"
BAD_KEY = (
    b'{"error": {"code": 400, "message": "API key not valid.", "status": "INVALID_ARGUMENT", "details": '
    b'[{"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "API_KEY_INVALID"}]}}'
)
SETTINGS = {"GEMINI_API_KEY": "AIzaOfTheTests"}
CALLS = 30
LIMIT = 64 * 2**20  # bytes that a file may have


def nobody_reads(stack: ExitStack) -> int:
    """A pipe that is full, and stays so."""
    reading, writing = os.pipe()
    stack.callback(os.close, reading)
    stack.callback(os.close, writing)
    os.set_blocking(writing, False)
    while select.select([], [writing], [], 0)[1]:
        os.write(writing, bytes(4096))
    os.set_blocking(writing, True)
    return writing


def reader_left(stack: ExitStack) -> int:
    reading, writing = os.pipe()
    os.close(reading)
    stack.callback(os.close, writing)
    return writing


def full_disk(stack: ExitStack) -> int:
    device = os.open("/dev/full", os.O_WRONLY)
    stack.callback(os.close, device)
    return device


def started(words: list[str], folder: Path, taker: int) -> warm.Process:
    """What it says goes to that descriptor."""
    with open(taker, "wb", buffering=0, closefd=False) as stream:
        return warm.start(words, folder, environment(SETTINGS), stream, stream)


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


async def refuse_the_key(reply: Reply) -> None:
    """For which the gateway logs an alarm at each call."""
    await reply.json(BAD_KEY, status=400)


@pytest.mark.parametrize(
    ("place", "redirection"),
    [
        (full_disk, ""),
        (reader_left, ""),
        (nobody_reads, ""),
        (None, ">&- 2>&- <&-"),
        (None, f"2>>limited && ulimit -f {LIMIT // 512}"),
    ],
    ids=["full disk", "reader left", "nobody reads", "closed", "limited"],
)
async def test_words_that_cannot_be_written_do_no_harm(
    folder: Path,
    google: StandIn,
    stack: ExitStack,
    place: Callable[[ExitStack], int] | None,
    redirection: str,
) -> None:
    folder.mkdir()
    with (folder / "limited").open("wb") as limited:
        limited.truncate(LIMIT)
    (folder / "stderr.txt").touch()
    google.script = refuse_the_key
    port, taker = free_port(), place(stack) if place else None
    redirect, _, limit = redirection.partition("&& ")
    words = ["serve", "--port", str(port), "--data", "data", "--upstream", google.url]
    process: Process
    if taker is not None:
        process = started(words, folder, taker)
    else:
        process = await trio.lowlevel.open_process(
            ["sh", "-c", f'{limit or ":"}; exec "$@" {redirect}', "sh", *COMMAND, *words],
            cwd=folder,
            env=environment(SETTINGS),
        )
    try:
        async with httpx2.AsyncClient(timeout=PATIENCE, verify=False) as client:
            served = Served(process, folder, f"http://127.0.0.1:{port}", client)
            client.base_url = served.url
            await answers(served)
            told = [await exchange(served.url, GENERATE, body=b"{}") for _ in range(CALLS)]
            assert {answer.status for answer in told} == {502}
            assert await served.stop() == 0
    finally:
        await end(process)
    assert len(rows_in_file(served.data)) == CALLS
    for file in served.data.glob("*.sqlite"):  # nothing was written into a database by mistake
        assert sqlite3.connect(file).execute("PRAGMA integrity_check").fetchall() == [("ok",)]


def test_an_outlet_tells_what_it_lost_and_goes_on() -> None:
    reading, writing = os.pipe()
    with open(reading, "rb", buffering=0) as taken, open(writing, "wb") as _:  # noqa: PTH123
        outlet = NonBlockingWriter(writing)
        line = "x" * 9_999 + "\n"
        while not outlet.lost:
            outlet.write(line)
        outlet.write(line)
        assert outlet.lost == 2
        received = b""
        while select.select([reading], [], [], 0)[0]:
            received += taken.read(65536)
        outlet.write("ü\udcff\n")
        assert outlet.lost == 0
        received += taken.read(65536)
    whole, _, last = received.rpartition(line.encode())
    assert not whole.replace(line.encode(), b"")
    torn, said, _ = last.split(b"\n")
    assert 0 < len(torn) < len(line)
    assert said == "ü\\udcff".encode()
