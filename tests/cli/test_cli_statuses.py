"""How a command ends: its status for scripts, its line on stderr for people, and no secret in either."""

from __future__ import annotations

import socket
from typing import Any

import pytest
from rig.cases import cases

MASTER = "sk-master-that-nobody-may-see"
QUERIES = [
    ["keys", "list"],
    ["keys", "show", "ci"],
    ["keys", "create"],
    ["keys", "edit", "ci", "--rpm", "5"],
    ["keys", "block", "ci"],
    ["keys", "unblock", "ci", "me"],
    ["keys", "rotate", "ci"],
    ["keys", "delete", "ci", "--yes"],
    ["calls", "list"],
    ["calls", "show", "1"],
    ["calls", "tail"],
    ["calls", "export"],
    ["spend"],
    ["sql", "SELECT 1"],
    ["sql", "--exec", "true {file}"],
]
PATHS = [
    "GET /key/list",
    "GET /key/info",
    "POST /key/generate",
    "POST /key/update",
    "POST /key/block",
    "POST /key/unblock",
    "POST /key/regenerate",
    "POST /key/delete",
    "GET /calls",
    "GET /calls/1",
    "GET /calls/stream",
    "GET /spend",
    "POST /sql",
    "POST /sql/lend",
]


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


@cases(
    ("answer", "detail", "status", "said"),
    [
        (401, "", 4, "--key or GATEKEEPER_MASTER_KEY"),
        (403, "this is a virtual key", 4, "virtual key"),
        (404, "there is no such key", 5, "no such key"),
        (400, "`limit` is not that", 6, "`limit`"),
        (409, "the alias is taken", 6, "taken"),
        (422, "", 6, "422"),
        (500, "see its log", 1, "its log"),
        (503, "the disk is full", 1, "disk is full"),
        (302, "", 1, "is not a gatekeeper gateway"),
    ],
)
def test_each_answer_has_its_status(
    on: Any, gateway: Any, answer: int, detail: str, status: int, said: str
) -> None:
    gateway.answers = {"GET /key/list": (answer, {"detail": detail})}
    ended = on("keys", "list", "--key", MASTER)
    assert (ended.status, ended.out) == (status, "")
    assert said in ended.err
    assert ended.err.startswith("gatekeeper: ")
    assert ended.err.count("\n") == 1


@pytest.mark.parametrize("end", ["/", "/gemini", "/gemini/"])
def test_the_address_may_end_as_sdks_are_given_it(cli: Any, gateway: Any, end: str) -> None:
    gateway.answers = {"GET /key/list": {"keys": []}}
    assert cli("keys", "list", "--url", f"{gateway.url}{end}").status == 0


@cases("args", QUERIES)
def test_every_command_shows_the_key_to_the_gateway_only(on: Any, gateway: Any, args: list[str]) -> None:
    gateway.asked.clear()
    gateway.answers = dict.fromkeys(PATHS, (403, {"detail": "this is a virtual key"}))
    ended = on(*args, "--key", MASTER)
    assert ended.status == 4
    assert "virtual key" in ended.err
    assert MASTER not in ended.out + ended.err
    assert gateway.asked[0].headers["authorization"] == f"Bearer {MASTER}"


@pytest.mark.parametrize("args", [["keys", "list"], ["calls", "tail"], ["calls", "export"]], ids=" ".join)
def test_a_gateway_that_is_not_there(cli: Any, args: list[str]) -> None:
    url = f"http://127.0.0.1:{free_port()}"
    ended = cli(*args, "--url", url, "--key", MASTER)
    assert ended.status == 3
    assert f"No gateway responds at {url}" in ended.err
    assert "gatekeeper serve" in ended.err
    assert MASTER not in ended.out + ended.err


def test_an_answer_that_is_no_document(on: Any, gateway: Any) -> None:
    gateway.answers = {"GET /key/list": b"<html>"}
    ended = on("keys", "list")
    assert (ended.status, ended.out) == (1, "")
    assert "is not a gatekeeper gateway" in ended.err


@cases(
    ("args", "said"),
    [
        (["nix"], "there is no command 'nix'; there are serve, init, "),
        (["kyes"], "there is no command 'kyes'; did you mean keys? See gatekeeper --help."),
        (["quote", "m", "--input", "5"], "no command 'quote'; did you mean prices quote? See gatekeeper"),
        (["block", "ci"], "did you mean keys block or groups block or users block? See gatekeeper --help."),
        (["keys", "lst"], "there is no command 'lst'; did you mean list? See gatekeeper keys --help."),
        (["calls", "list", "--limt", "5"], "there is no option --limt; did you mean --limit? See "),
        (["calls", "list", "--xyzzy"], "there is no option --xyzzy. See gatekeeper calls list --help."),
        (["keys", "create", "--no-stor"], "did you mean --no-store?"),
        (
            ["keys", "show", "-dash"],
            "there is no option -d; what begins with - and is no option goes after --",
        ),
        (
            ["keys", "edit", "ci", "--unset", "rpm,max-budgt"],
            "no 'max-budgt' to remove; did you mean max-budget?",
        ),
        (["calls", "export", "--format", "cvs"], "'cvs' is not allowed; did you mean csv?"),
        (["serve", "--prot", "5"], "--port"),
        (["serve", "--port", "x"], "1 to 65535"),
        (["serve", "--config", "nix.toml"], "nix.toml"),
        (["serve", "--host", "0.0.0.0"], "GATEKEEPER_MASTER_KEY"),
        (["config", "--port", "0"], "1 to 65535"),
        (["config", "--upstream", "ftp://x"], "'ftp://x'"),
        (["sandbox", "--port", "70000"], "65535"),
        (["keys", "edit", "ci"], "nothing to change"),
        (["keys", "create", "--rpm", "many"], "'many' is no whole number"),
        (["keys", "create", "--metadata", "{"], "no JSON"),
        (["keys", "block"], "Missing argument"),
        (["calls", "list", "--limit", "1001"], "1000"),
        (["calls", "export", "--format", "xls"], "parquet"),
        (["sql"], "Give either"),
        (["sql", "SELECT 1", "--exec", "true {file}"], "Give either"),
        (["sql", "--exec", "true"], "{file}"),
        (["sql", "--exec", "true '{file}"], "No closing quotation"),
        (["prices", "quote"], "--usage"),
        (["prices", "quote", "gemini-2.5-flash"], "--usage"),
        (["prices", "quote", "--usage", "-"], "MODEL"),
        (["prices", "quote", "m", "--call", "-"], "--call and MODEL exclude each other"),
        (["prices", "quote", "--call", "-", "--tier", "flex"], "--call and --tier exclude each other"),
        (["prices", "quote", "--call", "-", "--usage", "-"], "--usage and --call exclude each other"),
        (["prices", "quote", "m", "--usage", "-", "--input", "5"], "--usage and --input exclude each other"),
        (["prices", "quote", "--input", "5"], "--input needs MODEL"),
        (["prices", "quote", "m", "--cached", "5"], "--input, --output or --usage FILE"),
        (["prices", "quote", "m", "--input", "5", "--cached", "6"], "--cached is more than --input"),
        (["prices", "quote", "m", "--output", "5", "--cached", "6"], "--cached is more than --input"),
        (["prices", "quote", "m", "--input", "-1"], "-1"),
        (["prices", "quote", "m", "--usage", "nix.json"], "nix.json"),
        (["prices", "quote", "m", "--usage", "-", "--tier", "gold"], "'gold'"),
        (["prices", "quote", "m", "--usage", "-", "--at", "soon"], "soon"),
    ],
)
def test_wrong_usage(cli: Any, args: list[str], said: str) -> None:
    ended = cli(*args)
    assert (ended.status, ended.out) == (2, "")
    assert said in ended.err
    assert ended.err.startswith("gatekeeper: ")
    assert ended.err.count("\n") == 1


@cases("args", [["keys", "list"], ["tui"]])
@cases("url", ["nonsense", "ftp://127.0.0.1:4000", "http://"])
def test_an_address_that_is_none(cli: Any, args: list[str], url: str) -> None:
    ended = cli(*args, "--url", url)
    assert ended.status == 6
    assert "--url and GATEKEEPER_URL take" in ended.err


@cases(
    "args",
    [
        ["keys", "list", "--q", "\udcff"],
        ["keys", "create", "--alias", "\udcff"],
        ["calls", "show", "\udcff"],
        ["calls", "tail", "--query", "\udcff"],
        ["sql", "\udcff"],
        ["prices", "show", "\udcff"],
    ],
)
def test_an_argument_that_is_no_utf_8(on: Any, args: list[str]) -> None:
    """As the system passes it to Python: a byte of Latin-1, for instance."""
    ended = on(*args)
    assert ended.status in (2, 5)
    assert "internal error" not in ended.err


@cases("args", [["sql", "SELECT 1"], ["sql", "--exec", "true {file}"]])
def test_a_file_that_the_machine_refuses_is_told_by_its_name(cli: Any, args: list[str]) -> None:
    """As one of another user (EACCES), which root, who may run the tests, never is refused."""
    ended = cli(*args, "--data", "d" * 300, "--url", f"http://127.0.0.1:{free_port()}")
    assert (ended.status, ended.out) == (6, "")
    assert f"{'d' * 300}/gatekeeper.duckdb: File name too long" in ended.err
    assert ended.err.count("\n") == 1


def test_a_file_of_keys_that_breaks_off_is_no_fault_of_stdout(on: Any) -> None:
    ended = on("keys", "import", "/proc/self/mem")
    assert (ended.status, ended.err) == (2, "gatekeeper: the file cannot be read: Input/output error.\n")


def test_a_key_that_no_header_can_carry(on: Any) -> None:
    ended = on("keys", "list", "--key", "two\nlines")
    assert (ended.status, ended.out) == (4, "")
    assert "lines" not in ended.err


@pytest.mark.parametrize("variable", ["GATEKEEPER_MASTER_KEY", "LITELLM_MASTER_KEY"])
@pytest.mark.parametrize("around", ["{}", " {}\n"], ids=["plain", "as a file has it"])
def test_the_environment_has_address_and_key(
    cli: Any, gateway: Any, monkeypatch: pytest.MonkeyPatch, variable: str, around: str
) -> None:
    """Read as `serve` reads them: blanks and a line break around them are not theirs."""
    gateway.answers = {"GET /key/list": {"keys": [], "next_cursor": None}}
    monkeypatch.setenv("GATEKEEPER_URL", around.format(f"{gateway.url}/"))
    monkeypatch.setenv(variable, around.format(MASTER))
    assert cli("keys", "list").status == 0
    cli("doctor")
    assert {asked.headers["authorization"] for asked in gateway.asked} == {f"Bearer {MASTER}"}
    assert len(gateway.asked) > 1


def test_open_mode_sends_no_key(on: Any, gateway: Any) -> None:
    gateway.answers = {"GET /key/list": {"keys": [], "next_cursor": None}}
    assert on("keys", "list").status == 0
    assert "authorization" not in gateway.asked[0].headers


def test_a_fault_of_ours_is_one_line(on: Any, gateway: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    gateway.answers = {"GET /key/list": {"keys": [{}], "next_cursor": None}}
    monkeypatch.setattr("gatekeeper.cli.keys.print_table", None)
    ended = on("keys", "list", "--key", MASTER)
    assert ended.status == 1
    assert "TypeError in keys.py, line" in ended.err
    assert "GATEKEEPER_DEBUG=1" in ended.err
    assert ended.err.count("\n") == 1
    monkeypatch.setenv("GATEKEEPER_DEBUG", "1")
    assert "Traceback" in on("keys", "list").err
