"""The commands of README.md and docs/, word for word but for the address and where the program lies."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from subprocess import CompletedProcess

import pytest
import trio
from rig.cases import cases
from rig.process import COMMAND, PATIENCE, Served, command, environment, serving

ROOT = Path(__file__).parents[2]
MASTER = "master-of-the-documents"
# Written by tests/e2e/clients, which runs what stands there.
GENERATED = {"clients.md"}
DOCUMENTS = [ROOT / "README.md", *sorted(ROOT.glob("docs/*.md"))]
# A block that is not run says why in the line before it.
BLOCK = re.compile(r"(<!-- not run: [^\n]+ -->\n)?^```sh\n(.*?)```", re.DOTALL | re.MULTILINE)
# These run until they are stopped, or set up an environment; the gate runs two of them.
RUNNING = re.compile(r"^(export |python3 -m venv|pip install |(\.venv/bin/)?gatekeeper (serve|tui)\b)")
PROGRAM = re.compile(r"(?<![\w/.-])(?:\.venv/bin/)?gatekeeper (?=[a-z-])")
SHELL = re.compile(r"[|<>$;&`]")
QUOTED = re.compile(r"'[^']*'")


def commands(document: Path) -> Iterator[str]:
    for not_run, block in BLOCK.findall(document.read_text(encoding="utf-8")):
        if not not_run:
            for line in block.replace("\\\n", "").splitlines():
                if line and not line.startswith("#") and not RUNNING.match(line):
                    yield line


TESTED = [document for document in DOCUMENTS if document.name not in GENERATED and any(commands(document))]


@pytest.mark.parametrize("document", TESTED, ids=lambda document: document.name)
async def test_the_commands_of_a_document_work_in_their_order(document: Path, tmp_path: Path) -> None:
    async with serving(tmp_path / "gateway", "--sandbox", GATEKEEPER_MASTER_KEY=MASTER) as served:
        home = tmp_path / "home"
        home.mkdir()
        for line in commands(document):
            here = line.replace("http://127.0.0.1:4000", served.url).replace("key=anything", f"key={MASTER}")
            ended = await run(here, home, served)
            assert ended.returncode == 0, (line, ended.stdout, ended.stderr)
            assert b'"error"' not in ended.stdout, line


async def run(line: str, home: Path, served: Served) -> CompletedProcess[bytes]:
    """A line as typed in a new person's home."""
    settings = {"GATEKEEPER_MASTER_KEY": MASTER, "GATEKEEPER_URL": served.url, "HOME": str(home)}
    if PROGRAM.match(line) and not SHELL.search(QUOTED.sub("", line)):
        return await command(home, *shlex.split(line, comments=True)[1:], **settings)
    with trio.fail_after(PATIENCE):
        return await trio.run_process(
            ["bash", "-c", PROGRAM.sub(f"{shlex.join(COMMAND)} ", line)],
            cwd=home,
            env=environment(settings),
            capture_stdout=True,
            capture_stderr=True,
            check=False,
        )


@cases("wanted", ["curl ", "keys create", "keys list", "keys block", "spend", "calls", "sql"])
def test_nothing_was_overlooked(wanted: str) -> None:
    assert any(wanted in line for line in commands(ROOT / "README.md"))
