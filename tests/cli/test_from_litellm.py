"""`docs/from-litellm.md`: its commands exist with these options, and its tables are those of the code."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import click
import pytest
from litellm.rows import RECORDED

from gatekeeper.cli.main import gatekeeper
from gatekeeper.litellm.tables import TABLES

PAGE = (Path(__file__).parents[2] / "docs" / "from-litellm.md").read_text(encoding="utf-8")
COMMANDS = [line for block in re.findall(r"```sh\n(.*?)```", PAGE, re.DOTALL) for line in block.splitlines()]
OURS = [line for line in COMMANDS if line.startswith("gatekeeper ")]


@pytest.mark.parametrize("line", OURS)
def test_each_command_takes_what_it_is_given(line, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "exported").mkdir()
    _, *words = shlex.split(line)
    command: click.Command = gatekeeper
    context = click.Context(command)
    while isinstance(command, click.Group):
        name, found, words = command.resolve_command(context, words)
        assert found, line
        command, context = found, click.Context(found, parent=context, info_name=name)
    command.make_context(context.info_name, list(words), parent=context.parent)


def test_every_table_that_is_read_is_exported():
    block = PAGE.split("<!-- tables -->\n")[1].split("```\n")[0]
    assert re.findall(r'\\copy "(\w+)" to exported/\1\.csv csv header', block) == list(TABLES)
    assert {path.stem for path in RECORDED.glob("*.csv")} == set(TABLES)


def test_the_report_that_it_shows_is_that_of_the_recorded_rows(on, gateway):
    gateway.answers = {"POST /import": {"groups": 3, "users": 2, "keys": 4, "skipped": []}}
    printed = {line.rstrip() for line in on("import", "litellm", "--csv", str(RECORDED)).out.splitlines()}
    shown = PAGE.split("```text\n")[1].split("```")[0].splitlines()
    assert set(shown) <= printed


def test_the_figures_are_those_that_were_measured():
    performance = (Path(__file__).parents[2] / "docs" / "performance.md").read_text(encoding="utf-8")
    rows = [line.split(" | ") for line in performance.splitlines() if "LiteLLM's proxy" in line]
    figures = {cells[1]: float(cells[2]) for cells in rows if len(cells) > 2}
    (theirs, ours) = re.search(r"CPU of a call \| ([\d.]+) ms \| ([\d.]+) ms", PAGE).groups()
    assert float(theirs) == pytest.approx(figures["its CPU, ms"], abs=0.05)
    assert float(ours) == pytest.approx(figures["CPU of the gateway, ms"], abs=0.005)
    assert f"a {figures['its CPU × ours']:.0f}th" in PAGE
    prices = (Path(__file__).parents[2] / "docs" / "prices.md").read_text(encoding="utf-8")
    free = [int(count) for count in re.findall(r"costs 0\.0, without an error \| (\d+) \|", prices)]
    assert f"{round(sum(free), -2):,} of 5,993" in PAGE
