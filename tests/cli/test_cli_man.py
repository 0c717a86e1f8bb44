"""The manual page: made of the commands, current, and without a fault in its roff."""

from __future__ import annotations

import os
import shutil
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import click
import pytest
from rig.cases import cases

from gatekeeper.cli.main import gatekeeper
from gatekeeper.cli.man import all_commands, escaped, man_page

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "gatekeeper.1"
# Read here: a test has no such variables.
WRITE = os.environ.get("GATEKEEPER_GOLDEN") == "write"


def test_the_page_is_current(cli: Any) -> None:
    """`GATEKEEPER_GOLDEN=write` before pytest writes it again."""
    page = man_page(gatekeeper)
    if WRITE:
        PAGE.write_text(page)
    assert PAGE.read_text() == page, (
        "write it again: GATEKEEPER_GOLDEN=write pytest tests/cli/test_cli_man.py"
    )
    assert cli("man").out == page, "where there is no terminal"


def test_every_command_and_option_is_there() -> None:
    page = man_page(gatekeeper)
    for context in all_commands(click.Context(gatekeeper, info_name="gatekeeper")):
        assert f'.SS "{escaped(context.command_path)} ' in page
        for parameter in context.command.params:
            assert all(escaped(name) in page for name in parameter.opts if name.startswith("-"))


def test_the_wheel_installs_it_where_man_looks() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    shared = project["tool"]["hatch"]["build"]["targets"]["wheel"]["shared-data"]
    assert shared == {"docs/gatekeeper.1": "share/man/man1/gatekeeper.1"}


@pytest.mark.skipif(not shutil.which("man"), reason="there is no man here")
@pytest.mark.parametrize("locale", ["C", "C.UTF-8"])
def test_man_shows_it_without_a_warning(locale: str) -> None:
    environment = os.environ | {"LC_ALL": locale, "MANWIDTH": "80", "MANPAGER": "cat"}
    ended = subprocess.run(
        ["man", "--warnings", "-l", str(PAGE)], env=environment, capture_output=True, text=True, check=True
    )
    assert ended.stderr == ""
    assert "gatekeeper keys create [OPTIONS]" in ended.stdout
    assert "gatekeeper calls tail --query 'tag:team-a -outcome:ok'\n" in ended.stdout, "as it can be pasted"


@cases(
    ("text", "roff"),
    [
        (".x", r"\&.x"),
        ("'x", r"\&\(aqx"),
        ("a-b", r"a\-b"),
        (r"a\b", r"a\eb"),
        ("`x`", r"\(gax\(ga"),
        ("a…", "a..."),
    ],
)
def test_text_is_no_request(text: str, roff: str) -> None:
    assert escaped(text) == roff
