"""`gatekeeper sql`: asked of the gateway, read from the file, or the file lent to another program."""

from __future__ import annotations

import shlex
import shutil
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import duckdb
import pytest

ROWS = {
    "columns": ["model", "cost", "n", "at", "tags"],
    "types": ["VARCHAR", "DECIMAL(18,12)", "BIGINT", "TIMESTAMP WITH TIME ZONE", "VARCHAR[]"],
    "rows": [
        ["gemini-2.5-flash", "0.001107600000", 12, "2026-11-24T13:07:21.418000Z", ["a", "b"]],
        [None, None, 3, None, []],
    ],
    "truncated": False,
}
TABLE = """\
model                       cost   n  at                           tags
gemini-2.5-flash  0.001107600000  12  2026-11-24T13:07:21.418000Z  ["a","b"]
NULL                        NULL   3  NULL                         []
"""


@pytest.fixture
def nowhere() -> str:
    """The address of no gateway."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return f"http://127.0.0.1:{listener.getsockname()[1]}"


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("written") / "gatekeeper.duckdb"
    with duckdb.connect(str(path)) as con:
        con.execute("CREATE TABLE calls (model VARCHAR, cost_usd DECIMAL(18,12))")
        con.execute("INSERT INTO calls VALUES ('gemini-2.5-pro', 0.5), (NULL, NULL)")
    return path


@pytest.fixture
def file(written: Path, tmp_path: Path) -> Path:
    """An analytics file that no gateway holds."""
    (tmp_path / "data").mkdir()
    return Path(shutil.copy(written, tmp_path / "data"))


def python(code: str) -> str:
    """A program for `--exec`: Python that has the path in sys.argv[1]."""
    return f"{shlex.quote(sys.executable)} -c {shlex.quote(f'import sys, pathlib; {code}')} {{file}}"


def test_the_gateway_answers(on: Any, gateway: Any) -> None:
    gateway.answers = {"POST /sql": ROWS}
    ended = on("sql", "SELECT 1", "--limit", "5")
    assert (ended.status, ended.out, ended.err) == (0, TABLE, "")
    assert gateway.asked[0].body == {"query": "SELECT 1", "limit": 5}
    assert on("sql", "SELECT 1", "--json").document == ROWS


@pytest.mark.parametrize("answer", [None, {}, {**ROWS, "rows": [{}]}])
def test_what_is_no_gateway_is_told(on: Any, gateway: Any, answer: object) -> None:
    gateway.answers = {"POST /sql": (200, answer)}
    ended = on("sql", "SELECT 1")
    assert (ended.status, ended.out) == (1, "")
    assert "not that of a gatekeeper gateway: check --url" in ended.err


def test_what_is_cut_short_says_so(on: Any, gateway: Any) -> None:
    gateway.answers = {"POST /sql": {**ROWS, "truncated": True, "partial": True, "partial_reason": "locked"}}
    err = on("sql", "SELECT 1").err
    assert "more than these 2 rows" in err
    assert "Partial result: locked." in err


def test_a_fault_in_the_query_is_one_line(on: Any, gateway: Any) -> None:
    problem = 'Parser Error: syntax error at or near "selec"\n\nLINE 1: selec\n        ^'
    gateway.answers = {"POST /sql": (400, {"detail": problem})}
    ended = on("sql", "selec")
    assert ended.status == 6
    assert ended.err == 'gatekeeper: Parser Error: syntax error at or near "selec".\n'


@pytest.mark.usefixtures("file")
def test_without_a_gateway_the_file_is_read(cli: Any, nowhere: str) -> None:
    query = "SELECT model, cost_usd FROM calls ORDER BY model"
    ended = cli("sql", query, "--url", nowhere)
    assert (ended.status, ended.out) == (
        0,
        "model                 cost_usd\ngemini-2.5-pro  0.500000000000\nNULL                      NULL\n",
    )
    assert ended.err == "No gateway responds, so this is read from data/gatekeeper.duckdb.\n"
    assert cli("sql", query, "--url", nowhere, "--json").document == {
        "columns": ["model", "cost_usd"],
        "types": ["VARCHAR", "DECIMAL(18,12)"],
        "rows": [["gemini-2.5-pro", "0.500000000000"], [None, None]],
        "truncated": False,
    }


@pytest.mark.usefixtures("file")
@pytest.mark.parametrize("query", ["DROP TABLE calls", "SELECT * FROM '/etc/passwd'", "SELECT nothing"])
def test_the_file_takes_no_other_queries_than_a_gateway(cli: Any, nowhere: str, query: str) -> None:
    ended = cli("sql", query, "--url", nowhere)
    assert (ended.status, ended.out) == (6, "")
    assert ended.err.count("\n") == 2


def test_a_file_that_another_program_has(cli: Any, nowhere: str, file: Path) -> None:
    hold = "import duckdb, sys; c = duckdb.connect(sys.argv[1]); print('held', flush=True); sys.stdin.read()"
    with subprocess.Popen(
        [sys.executable, "-c", hold, str(file)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as other:
        assert other.stdout
        assert other.stdout.readline() == b"held\n"
        ended = cli("sql", "SELECT 1", "--url", nowhere)
        other.communicate(b"")
    assert ended.status == 6
    assert "another program has data/gatekeeper.duckdb" in ended.err


@pytest.mark.parametrize("args", [["SELECT 1"], ["--exec", "true {file}"]], ids=" ".join)
def test_neither_gateway_nor_file(cli: Any, nowhere: str, args: list[str]) -> None:
    ended = cli("sql", *args, "--url", nowhere, "--data", "elsewhere")
    assert ended.status == 3
    assert f"No gateway responds at {nowhere}" in ended.err
    assert "elsewhere/gatekeeper.duckdb" in ended.err


def test_the_file_is_lent_and_given_back(on: Any, gateway: Any, file: Path, tmp_path: Path) -> None:
    gateway.answers = {"POST /sql/lend": {"file": str(file)}, "POST /sql/return": {"returned": True}}
    ended = on("sql", "--exec", python("pathlib.Path('seen').write_text(sys.argv[1]); sys.exit(9)"))
    assert (ended.status, ended.err) == (9, "")
    assert (tmp_path / "seen").read_text() == str(file)
    assert [(asked.path, set(asked.body)) for asked in gateway.asked] == [
        ("/sql/lend", {"seconds"}),
        ("/sql/return", set()),
    ]


@pytest.mark.parametrize(
    ("program", "path", "status", "said"),
    [
        ("no-such-program {file}", "{here}", 2, "no-such-program cannot be run"),
        ("true {file}", "/not/on/this/machine", 6, "not on this machine"),
        (python("import os, signal; os.kill(os.getpid(), signal.SIGTERM)"), "{here}", 143, ""),
    ],
    ids=["no program", "other machine", "killed"],
)
def test_whatever_happens_the_file_is_given_back(
    on: Any, gateway: Any, file: Path, program: str, path: str, status: int, said: str
) -> None:
    gateway.answers = {
        "POST /sql/lend": {"file": path.replace("{here}", str(file))},
        "POST /sql/return": {"returned": True},
    }
    ended = on("sql", "--exec", program)
    assert ended.status == status
    assert said in ended.err
    assert gateway.asked[-1].path == "/sql/return"


def test_a_gateway_that_ended_meanwhile_does_not_hide_the_programs_status(
    on: Any, gateway: Any, file: Path
) -> None:
    gateway.answers = {
        "POST /sql/lend": {"file": str(file)},
        "POST /sql/return": (503, {"detail": "draining"}),
    }
    ended = on("sql", "--exec", python("sys.exit(0)"))
    assert ended.status == 0
    assert "could not be returned" in ended.err


@pytest.mark.usefixtures("file")
def test_a_program_gets_the_file_without_a_gateway(cli: Any, nowhere: str) -> None:
    ended = cli(
        "sql", "--exec", python("sys.exit(pathlib.Path(sys.argv[1]).is_file() + 4)"), "--url", nowhere
    )
    assert ended.status == 5
