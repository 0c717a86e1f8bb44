"""A page in headless Chromium uses @google/genai: straight at the simulated Google, through the gateway, and,
what must fail, through the gateway from an origin that is not allowed. What the page is told is compared."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import trio
from e2e.clients.installation import NotInstallable
from e2e.clients.refusals import Refused
from e2e.clients.session import Script
from e2e.clients.stage import MASTER, STRAIGHT_KEY
from e2e.clients.trial import Compared, Report
from rig.gateway import Running, running

from gatekeeper.sandbox.server import serve_sandbox

MEGABYTES = 20  # three pieces: the SDK sends 8 MiB at a time
SECONDS = 120.0
# The operations that are compared, and their calls' action and status.
CALLS = {
    "generate": ("generateContent", 200),
    "stream": ("streamGenerateContent", 200),
    "upload": ("files.upload", 200),
    "error": ("generateContent", 400),
}
Row = dict[str, Any]


def chromium() -> str:
    """Its path. Raises NotInstallable."""
    found = shutil.which("chromium") or shutil.which("google-chrome")
    if found is None:
        raise NotInstallable("needs chromium (apt-get install chromium)")
    return found


async def try_out_page(browser: str, script: Script) -> Report:
    """The whole trial. Only one refusal is watched: that of an unknown key."""
    allowed, other = (f"http://localhost:{free_port()}" for _ in range(2))
    async with trio.open_nursery() as nursery:
        port = await nursery.start(partial(serve_sandbox, "127.0.0.1", 0, time_scale=0))
        with tempfile.TemporaryDirectory() as data:
            google = f"http://127.0.0.1:{port}"
            flags = {"master_key": MASTER, "allowed_origins": allowed}
            async with running(Path(data) / "data", google, **flags) as gateway:
                through = (f"{gateway.url}/gemini", await gateway.key())
                pages = {
                    "straight": (allowed, google, STRAIGHT_KEY),
                    "through": (allowed, *through),
                    "other": (other, *through),
                }
                told = await run(browser, script, pages)
                rows = await settled(gateway)
        nursery.cancel_scope.cancel()
    return Report(list(compared(told, rows)), list(refused(told, rows)))


async def run(browser: str, script: Script, pages: dict[str, tuple[str, str, str]]) -> dict[str, Any]:
    """What each step of each page came to."""
    given = {"CHROMIUM": browser, "PAGES": json.dumps(pages), "MEGABYTES": str(MEGABYTES)}
    with trio.fail_after(SECONDS):
        done = await trio.run_process(
            [script.command[0], str(script.folder / "chromium.mjs")],
            cwd=script.folder,
            env=os.environ | script.settings | given,
            capture_stdout=True,
            stdin=subprocess.DEVNULL,
        )
    return json.loads(done.stdout.splitlines()[-1])


async def settled(gateway: Running) -> list[Row]:
    """All rows, once no call is open."""
    with trio.fail_after(10):
        while gateway.gateway.proxy.open_calls:
            await trio.sleep(0.05)
    await trio.sleep(1)
    return await gateway.rows()


def compared(told: dict[str, Any], rows: list[Row]) -> Iterator[Compared]:
    for name, call in CALLS.items():
        count = sum((row["action"], row["status"]) == call for row in rows)
        straight, through = (told[page][name] for page in ("straight", "through"))
        faults = [] if straight == through else [f"{straight} became {through}"]
        yield Compared(name, count, faults + list(unexpected(name, through, count)))
    yield Compared("a refusal can be read", refusals(rows), list(unreadable(told["through"]["refused"])))
    preflights = [row["outcome"] for row in rows if row["action"] == "preflight"]
    strays = [step for step in told["other"].values() if "Failed to fetch" not in str(step.get("error"))]
    faults = [f"the page was told {stray}" for stray in strays]
    if "ok" not in preflights:
        faults.append("no preflight was answered, or none has a row")
    yield Compared("a page of another origin gets nothing", preflights.count("refused"), faults)


def unexpected(name: str, step: dict[str, Any], count: int) -> Iterator[str]:
    """What is not as it should be, in words: two wrong pages are equal, too."""
    if not count:
        yield "no row"
    if name == "error":
        if step.get("status") != 400:
            yield f"no error 400: {step}"
    elif "error" in step:
        yield f"an error: {step}"
    if name == "stream" and step.get("chunks", 0) < 2:
        yield "the stream did not come in chunks"
    if name == "upload" and (step.get("size") != str(MEGABYTES << 20) or step.get("sha256") != step["sent"]):
        yield f"not {MEGABYTES} MiB, byte for byte"


def unreadable(step: dict[str, Any]) -> Iterator[str]:
    if step.get("status") != 401 or "GATEKEEPER_KEY_UNKNOWN" not in str(step.get("error")):
        yield f"the page was told {step}"


def refusals(rows: list[Row]) -> int:
    return sum((row["action"], row["status"]) == ("generateContent", 401) for row in rows)


def refused(told: dict[str, Any], rows: list[Row]) -> Iterator[Refused]:
    step = told["through"]["refused"]
    raised = str(step.get("error", "nothing raised")).partition(":")[0]
    yield Refused(401, [str(step.get("status"))], refusals(rows), 0, waiting=False, raised=raised)


def free_port() -> int:
    with socket.create_server(("localhost", 0)) as listener:
        return listener.getsockname()[1]
