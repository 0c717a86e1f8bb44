"""The README's tables and commands against the code."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from gatekeeper.client.reasons import GATEWAY_REASONS
from gatekeeper.ledger.call import COLUMNS, Call
from gatekeeper.refusals import STATUS, Reason
from gatekeeper.settings import SETTINGS

ROOT = Path(__file__).parents[1]
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


def test_every_reason_is_in_the_readme_once_with_status_cause_and_remedy() -> None:
    rows = table("reasons")
    documented = [(reason.strip("`"), int(status)) for reason, status, _, _ in rows]
    assert sorted(documented) == sorted((reason.value, status.code) for reason, status in STATUS.items())
    assert set(STATUS) == set(Reason)
    for reason, _, when, what_to_do in rows:
        assert when, reason
        assert what_to_do == GATEWAY_REASONS[reason.strip("`")].remedy, reason


@pytest.mark.parametrize("name", ["run", "test", "first call"])
def test_the_commands_are_one_line_each(name: str) -> None:
    block = README.split(f"<!-- {name} -->\n```sh\n")[1].split("```")[0]
    assert len(block.strip().splitlines()) == 1


def test_a_call_has_a_field_for_each_column() -> None:
    # The cost in another form; what is in the journal only.
    kept = ("cost_pico", "charged_pico", "continuations", "pending", "made", "group")
    fields = [name for name in Call.__struct_fields__ if name not in kept]
    assert fields == [name for name in COLUMNS if name != "cost_usd"]


def test_what_contributing_names_is_there() -> None:
    """Each file, and each name in code that stands in a line behind or before one."""
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    for line in re.split(r"\n(?=[-|#0-9])", text):
        paths = [ROOT / path for path in re.findall(r"`((?:gatekeeper|tui|data)/[\w/.]*)`", line)]
        assert all(path.exists() for path in paths), line
        sources = [path.read_text(encoding="utf-8") for path in paths if path.is_file()]
        for name in re.findall(r"`([A-Za-z_]+(?:\.[a-z_]+)?)`", line) if sources else ():
            assert any(re.search(rf"\b{part}\b", source) for source in sources for part in name.split(".")), (
                name
            )


def test_what_the_documents_of_measurements_name_is_there() -> None:
    bench = (ROOT / "bench" / "README.md").read_text(encoding="utf-8")
    performance = (ROOT / "docs" / "performance.md").read_text(encoding="utf-8")
    modules = re.findall(r"`python -m bench\.(\w+)", bench + performance)
    scripts = re.findall(r"`(?:python bench/)?(\w+)\.py", bench)
    assert modules
    assert all((ROOT / "bench" / f"{name}.py").is_file() for name in (*modules, *scripts))
    pictures = re.findall(r"\]\(([^)#:]+)\)", performance)
    assert all((ROOT / "docs" / path).is_file() for path in pictures)


def test_the_words_of_our_own_are_few() -> None:
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    assert len(text.split("## Words\n")[1].strip().splitlines()) <= 10
