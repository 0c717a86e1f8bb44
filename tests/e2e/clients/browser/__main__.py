"""`python -m tests.e2e.clients.browser`: a page of another origin uses @google/genai through the gateway.

In headless Chromium: preflights, a stream, an upload in pieces, a refusal that the page can read. A page of
an origin that is not allowed can do none of it. Exit status: 0 where all is so, or, with a word, where
Chromium, node or the packages are missing; 1 where it is not.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
from collections import Counter
from functools import partial
from pathlib import Path
from typing import Any

# What the tests share is imported as they import it.
sys.path.insert(0, str(Path(__file__).parents[3]))

import trio
from e2e.clients.installation import NotInstallable, cache_folder, installed
from e2e.clients.roster import FOLDER, Client
from e2e.clients.session import Script
from rig.gateway import Running, running

from gatekeeper.sandbox.server import serve_sandbox

CLIENT = Client(
    "browser",
    "JavaScript",
    install=("@google/genai@3.3.0", "playwright-core@1.64.1", "esbuild@0.28.2"),
    script="browser/chromium.mjs",
)
MEGABYTES = 20  # three pieces: the SDK sends 8 MiB at a time
SECONDS = 120.0


def main() -> int:
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    if chromium is None:
        return say("skipped: needs chromium (apt-get install chromium)", 0)
    try:
        told, rows = trio.run(try_out, chromium)
    except NotInstallable as error:
        return say(f"skipped: {error}", 0)
    faults = list(unexpected(told, rows))
    actions = dict(Counter((row["action"], row["outcome"]) for row in rows))
    say(json.dumps(told, indent=2, ensure_ascii=False))
    say(f"rows: {actions}")
    for fault in faults:
        say(f"NOT AS EXPECTED: {fault}")
    return 1 if faults else 0


async def try_out(chromium: str) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """What the two pages say, and the rows of their calls."""
    with cache_folder() as cache:
        return await tried_out(chromium, await installed(CLIENT, cache))


async def tried_out(chromium: str, script: Script) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    shutil.copy(FOLDER / "browser" / "page.mjs", script.folder)
    allowed, other = (f"http://localhost:{free_port()}" for _ in range(2))
    async with trio.open_nursery() as nursery:
        port = await nursery.start(partial(serve_sandbox, "127.0.0.1", 0, time_scale=0))
        with tempfile.TemporaryDirectory() as data:
            upstream = f"http://127.0.0.1:{port}"
            flags = {"master_key": "master-of-the-browser", "allowed_origins": allowed}
            async with running(Path(data) / "data", upstream, **flags) as gateway:
                environment = {
                    "CHROMIUM": chromium, "ORIGIN": allowed, "OTHER_ORIGIN": other,
                    "BASE": f"{gateway.url}/gemini", "KEY": await gateway.key(), "MEGABYTES": str(MEGABYTES),
                }  # fmt: skip
                told = await run(script.command, script.folder, script.settings | environment)
                rows = await settled(gateway)
        nursery.cancel_scope.cancel()
    return told, rows


async def run(command: list[str], folder: Path, environment: dict[str, str]) -> dict[str, Any]:
    with trio.fail_after(SECONDS):
        done = await trio.run_process(
            command, cwd=folder, env=os.environ | environment, capture_stdout=True, stdin=subprocess.DEVNULL
        )
    return json.loads(done.stdout.splitlines()[-1])


async def settled(gateway: Running) -> list[dict[str, Any]]:
    """All rows, once no call is open."""
    with trio.fail_after(10):
        while gateway.gateway.proxy.open_calls:
            await trio.sleep(0.05)
    await trio.sleep(1)
    return await gateway.rows()


def unexpected(told: dict[str, Any], rows: list[dict[str, Any]]):
    """What is not as it should be, in words."""
    page, other = told["allowed"], told["other"]
    if not page["generate"].get("text") or page["generate"].get("id") not in {row["id"] for row in rows}:
        yield "the text of a call, and the id of its row"
    if page["stream"].get("text") is None or page["stream"].get("chunks", 0) < 2:
        yield "a stream in chunks"
    upload = page["upload"]
    if upload.get("size") != str(MEGABYTES << 20) or upload.get("sha256") != upload.get("sent"):
        yield f"an upload of {MEGABYTES} MiB, byte for byte"
    if page["refused"].get("status") != 401 or "GATEKEEPER_KEY_UNKNOWN" not in page["refused"]["error"]:
        yield "a refusal that the page can read"
    if not all("Failed to fetch" in str(step.get("error")) for step in other.values()):
        yield "nothing for a page of another origin"
    preflights = Counter(row["outcome"] for row in rows if row["action"] == "preflight")
    if not preflights["ok"] or not preflights["refused"]:
        yield f"preflights, answered and refused: {preflights}"
    if strays := [
        row for row in rows if row["action"] != "preflight" and row["outcome"] not in ("ok", "refused")
    ]:
        yield f"no call that fails: {strays}"


def free_port() -> int:
    with socket.create_server(("localhost", 0)) as listener:
        return listener.getsockname()[1]


def say(text: str, status: int = 0) -> int:
    sys.stdout.write(f"{text}\n")
    return status


if __name__ == "__main__":
    sys.exit(main())
