"""The documents' tables, commands and links against the code."""

from __future__ import annotations

import re
import tomllib
from datetime import UTC, datetime
from pathlib import Path

import pytest
from rig.cases import cases

from gatekeeper.admin.call_schemas import COLUMN_MEANINGS
from gatekeeper.admin.calls import MAX_LOAN_SECONDS
from gatekeeper.admin.key_schemas import MAX_BULK_KEYS
from gatekeeper.admin.keys import MAX_GRACE
from gatekeeper.admin.parameters import MAX_LIMIT
from gatekeeper.admin.requests import LARGE_BODIES, MAX_BODY_BYTES
from gatekeeper.client.reasons import GATEWAY_REASONS
from gatekeeper.gemini.meter import MAX_BUFFERED_BYTES
from gatekeeper.ledger import call
from gatekeeper.ledger.call import COLUMNS, CallRecord
from gatekeeper.ledger.consumers import SINK_RETENTION_BYTES
from gatekeeper.ledger.filters import FIELDS, MAX_FILTER_LENGTH, MAX_VALUES, parse
from gatekeeper.refusals import STATUS, Reason
from gatekeeper.serve import server_config
from gatekeeper.server.websocket_stream import MAX_MESSAGE_BYTES
from gatekeeper.settings import SETTINGS

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
DOCUMENTS = [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), ROOT / "bench" / "README.md"]


def table(document: str, name: str) -> list[list[str]]:
    """The body of the table after `<!-- name -->` in a document of docs/, cell by cell."""
    block = (
        (ROOT / "docs" / document).read_text(encoding="utf-8").split(f"<!-- {name} -->\n")[1].split("\n\n")[0]
    )
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in block.splitlines()[2:]]


def test_every_setting_is_documented_as_it_is() -> None:
    expected = [
        [
            f"`{setting.name}`",
            ", ".join(f"`{name}`" for name in setting.environment),
            f"`{setting.default}`" if setting.default else "",
            setting.meaning,
        ]
        for setting in SETTINGS
    ]
    assert table("settings.md", "settings") == expected


def test_every_reason_is_documented_once_with_status_cause_and_remedy() -> None:
    rows = table("errors.md", "reasons")
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
    fields = [name for name in CallRecord.__struct_fields__ if name not in kept]
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


def test_every_column_is_documented_with_its_type_and_meaning() -> None:
    expected = [[f"`{name}`", kind, COLUMN_MEANINGS[name].meaning] for name, kind in COLUMNS.items()]
    assert table("data.md", "columns") == expected


def test_every_field_of_filters_is_documented_with_an_example_that_parses() -> None:
    rows = table("filter.md", "fields")
    assert sorted(name.strip("`") for name, _, _ in rows) == sorted(FIELDS)
    for name, _, example in rows:
        assert len(parse(example.strip("`"), now=datetime.now(UTC)).terms) == 1
        assert example.startswith(f"{name.rstrip('`')}:")


@cases(
    ("what", "limit"),
    [
        ("head of a request", f"{server_config().h11_max_incomplete_size >> 10} KiB"),
        ("message of a Live session", f"{MAX_MESSAGE_BYTES >> 20} MiB"),
        (
            "body of a request to the admin API",
            f"{MAX_BODY_BYTES >> 20} MiB; {' and '.join(f'`{path}`' for path in LARGE_BODIES)} 16 MiB",
        ),
        ("response that is metered whole (no stream)", f"{MAX_BUFFERED_BYTES >> 20} MiB"),
        ("tags of a call", f"{call.MAX_TAGS} of {call.MAX_TAG_LENGTH} characters"),
        ("end user, user agent", f"{call.MAX_LENGTHS['user_id']} characters"),
        ("path in a row", f"{call.MAX_LENGTHS['path']:,} characters"),
        ("error message in a row", f"{call.MAX_LENGTHS['error_message']} characters"),
        ("other texts in a row", f"{call.MAX_TEXT} characters"),
        ("`usage` in a row", f"{call.MAX_USAGE_BYTES >> 10} KiB"),
        ("filter", f"{MAX_FILTER_LENGTH:,} characters, {MAX_VALUES} values"),
        ("rows of a page", f"{MAX_LIMIT:,}"),
        ("keys of one `/key/bulk`", f"{MAX_BULK_KEYS:,}"),
        ("grace of a replaced secret", f"{MAX_GRACE // 86_400} days"),
        ("loan of the analytics file", f"{MAX_LOAN_SECONDS // 3600} hour"),
        ("journal kept for a sink that lags", f"{SINK_RETENTION_BYTES >> 20} MiB"),
    ],
)
def test_limits_are_documented_as_they_are(what: str, limit: str) -> None:
    documented = {name: said for name, said, _ in table("limits.md", "limits")}
    assert documented[what] == limit


@cases("document", DOCUMENTS)
def test_links_lead_somewhere(document: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", document.read_text(encoding="utf-8")):
        path, _, anchor = target.partition("#")
        if "://" in target:
            continue
        file = (document.parent / path).resolve() if path else document
        assert file.exists(), target
        if anchor:
            headings = re.findall(r"^#+ (.+)$", file.read_text(encoding="utf-8"), re.MULTILINE)
            assert anchor in {re.sub(r"[^\w -]", "", name).lower().replace(" ", "-") for name in headings}


def test_what_is_installed_is_this_package() -> None:
    """`gatekeeper` alone is somebody else's package."""
    named = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    sources = [*DOCUMENTS, *ROOT.glob("gatekeeper/**/*.py"), *ROOT.glob("tui/**/*.py")]
    found = {
        match
        for path in sources
        for match in re.findall(r"([\w-]+)\[(\w+)\]'", path.read_text(encoding="utf-8"))
    }
    extras = {extra for name, extra in found if name == named["name"]}
    assert extras <= set(named["optional-dependencies"])
    assert not {name for name, extra in found if name.startswith("gatekeeper")} - {named["name"]}
