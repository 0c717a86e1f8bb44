"""The sandbox's money and Google's: folders and key databases of one kind are not taken for the other."""

from __future__ import annotations

from pathlib import Path

import pytest
from rig.process import command, free_port, rows_in_file, serving
from rig.standin import StandIn
from rig.wire import exchange

from gatekeeper.data_dir import write_markers
from gatekeeper.settings import Settings, load
from gatekeeper.startup import StartupProblem, data_kind_mismatch

GENERATE = "POST /gemini/v1beta/models/gemini-2.5-flash:generateContent?key=k"
KEY = {"GEMINI_API_KEY": "AIzaOfTheTests"}


def refused(settings: Settings) -> StartupProblem | None:
    """What a start says; where it is nothing, the folder is marked as a start marks it."""
    settings.data.mkdir(exist_ok=True)
    obstacle = data_kind_mismatch(settings)
    if not obstacle:
        write_markers(settings)
    return obstacle


def of(data: Path, sandbox: bool, **environ: str) -> Settings:
    return load({"data": data, "sandbox": sandbox}, environ)


async def test_a_folder_of_the_sandbox_is_not_google_s_and_the_other_way_round(
    folder: Path, google: StandIn
) -> None:
    async with serving(folder, "--sandbox") as served:
        await exchange(served.url, GENERATE, body=b"{}")
    run = await command(folder, "serve", "--port", str(free_port()), "--data", "data", **KEY)
    assert (run.returncode, run.stdout, run.stderr.count(b"\n")) == (6, b"", 1)
    assert b"data belongs to the sandbox" in run.stderr
    assert b"choose another --data, or add --sandbox".capitalize() in run.stderr
    (row,) = rows_in_file(folder / "data")
    assert row["cost_usd"] is not None
    async with serving(folder, "--sandbox"):
        """Its own kind it takes again."""


@pytest.mark.parametrize("sandbox", [True, False])
def test_a_folder_is_of_the_kind_that_it_was_first(tmp_path: Path, sandbox: bool) -> None:
    data = tmp_path / "data"
    assert refused(of(data, sandbox)) is None
    assert refused(of(data, not sandbox)) is None, "nothing is in it yet"
    assert refused(of(data, sandbox)) is None
    (data / "journal").mkdir()
    assert refused(of(data, sandbox)) is None
    obstacle = refused(of(data, not sandbox))
    assert obstacle
    assert obstacle.status == 6
    assert obstacle.problem.startswith(f"{data} belongs to ")


@pytest.mark.parametrize("content", ["keys.sqlite", "journal", "gatekeeper.duckdb"])
@pytest.mark.parametrize("mark", [None, "", "\n"])
def test_what_has_no_mark_counts_as_google_s(tmp_path: Path, content: str, mark: str | None) -> None:
    (tmp_path / content).touch()
    if mark is not None:
        (tmp_path / "gatekeeper.kind").write_text(mark)
    obstacle = refused(of(tmp_path, sandbox=True))
    assert obstacle
    assert "./data-sandbox" in obstacle.remedy
    assert refused(of(tmp_path, sandbox=False)) is None
    assert (tmp_path / "gatekeeper.kind").read_text() == "google\n"


def test_one_from_before_can_be_told_what_it_is(tmp_path: Path) -> None:
    (tmp_path / "keys.sqlite").touch()
    obstacle = refused(of(tmp_path, sandbox=True))
    assert obstacle
    assert obstacle.remedy.endswith(f"write sandbox into {tmp_path / 'gatekeeper.kind'}")
    (tmp_path / "gatekeeper.kind").write_text("sandbox")
    assert refused(of(tmp_path, sandbox=True)) is None


@pytest.mark.parametrize("sandbox", [True, False])
def test_a_key_database_elsewhere_has_a_kind_too(tmp_path: Path, sandbox: bool) -> None:
    """Or the sandbox would use up the budgets of real keys."""
    database = {"DATABASE_URL": f"sqlite:///{tmp_path / 'keys.db'}"}
    assert refused(of(tmp_path / "one", sandbox, **database)) is None
    (tmp_path / "keys.db").touch()
    assert refused(of(tmp_path / "two", sandbox, **database)) is None
    obstacle = refused(of(tmp_path / "three", not sandbox, **database))
    assert obstacle
    assert obstacle.problem.startswith(f"{tmp_path / 'keys.db'} belongs to ")
    assert obstacle.remedy == "choose another DATABASE_URL"
