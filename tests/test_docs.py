"""The README's tables and commands against the code."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from gatekeeper.ledger.call import COLUMNS, Call
from gatekeeper.refusals import STATUS
from gatekeeper.settings import SETTINGS

README = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")


def table(name: str) -> list[list[str]]:
    """The body of the table after `<!-- name -->`, cell by cell."""
    block = README.split(f"<!-- {name} -->\n")[1].split("\n\n")[0]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in block.splitlines()[2:]]


def test_every_setting_is_in_the_readme_as_it_is() -> None:
    expected = [
        [
            f"`{setting.name}`",
            ", ".join(f"`{name}`" for name in setting.environment),
            f"`{setting.default}`" if setting.default else "",
            setting.meaning,
        ]
        for setting in SETTINGS
    ]
    assert table("settings") == expected


def test_every_reason_is_in_the_readme_with_its_status() -> None:
    documented = {
        (int(status), reason)
        for status, reasons, _ in table("reasons")
        for reason in re.findall(r"`(GATEKEEPER_\w+)`", reasons)
    }
    assert documented == {(status.code, reason.value) for reason, status in STATUS.items()}


@pytest.mark.parametrize("name", ["run", "test", "first call"])
def test_the_commands_are_one_line_each(name: str) -> None:
    block = README.split(f"<!-- {name} -->\n```sh\n")[1].split("```")[0]
    assert len(block.strip().splitlines()) == 1


def test_a_call_has_a_field_for_each_column() -> None:
    kept = ("cost_pico", "charged_pico")  # the cost in another form; what stays between journal and budget
    fields = [name for name in Call.__struct_fields__ if name not in kept]
    assert fields == [name for name in COLUMNS if name != "cost_usd"]
