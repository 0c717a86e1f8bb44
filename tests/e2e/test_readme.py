"""The README's commands, word for word but for the address and where the program lies."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
import trio
from rig.process import COMMAND, PATIENCE, environment, serving

README = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
MASTER = "master-of-the-readme"
# These run until they are stopped, or set up an environment; the gate runs the first two of them.
RUNNING = re.compile(r"^(export |python3 -m venv|\.venv/bin/gatekeeper (serve|tui))")


def commands() -> list[str]:
    blocks = re.findall(r"```sh\n(.*?)```", README, re.DOTALL)
    return [line for block in blocks for line in block.splitlines() if line and not RUNNING.match(line)]


async def test_the_commands_of_the_readme_work_in_their_order(tmp_path: Path) -> None:
    settings = {"GATEKEEPER_MASTER_KEY": MASTER}
    async with serving(tmp_path / "gateway", "--sandbox", **settings) as served:
        env = environment({**settings, "GATEKEEPER_URL": served.url})
        for line in commands():
            here = line.replace("http://127.0.0.1:4000", served.url).replace("key=anything", f"key={MASTER}")
            here = here.replace(".venv/bin/gatekeeper", shlex.join(COMMAND))
            with trio.fail_after(PATIENCE):
                ended = await trio.run_process(
                    ["bash", "-c", here], env=env, capture_stdout=True, capture_stderr=True, check=False
                )
            said = ended.stdout.decode()
            assert ended.returncode == 0, (line, said, ended.stderr.decode())
            assert '"error"' not in said, line


@pytest.mark.parametrize(
    "wanted", ["curl ", "keys create", "keys list", "keys block", "spend", "calls", "sql"]
)
def test_nothing_was_overlooked(wanted: str) -> None:
    assert any(wanted in line for line in commands())
