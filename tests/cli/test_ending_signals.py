"""A signal ends a command wherever it is."""

from __future__ import annotations

import subprocess
import sys

from rig.cases import cases

OUTSIDE = """
    signal.raise_signal(signal.SIGTERM)
    time.sleep(20)
"""
# Whatever a task does about what is raised in its lines.
IN_A_TASK = """
    async def task():
        try:
            signal.raise_signal(signal.SIGTERM)
        except BaseException:
            print("raised in the task")
        await asyncio.sleep(20)

    asyncio.run(task())
"""
PROGRAM = """
import asyncio, signal, time
from gatekeeper.cli.ending_signals import ENDING, end, handled

with handled(ENDING, end):
"""


@cases("where", [OUTSIDE, IN_A_TASK], ["outside of an event loop", "in a task"])
def test_a_signal_ends_the_command(where: str) -> None:
    words = [sys.executable, "-c", PROGRAM + where]
    ended = subprocess.run(words, capture_output=True, text=True, timeout=15, check=False)
    assert (ended.returncode, ended.stdout, ended.stderr) == (128 + 15, "", "")
