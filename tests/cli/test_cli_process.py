"""What only a process shows: what is imported (which decides how long `--help` takes; `bench/start.py`
measures it), ctrl+c, closed pipes, terminals."""

from __future__ import annotations

import os
import pty
import shlex
import signal
import socket
import subprocess
import sys
import termios
import time
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from pathlib import Path
from threading import Event
from typing import Any, BinaryIO, cast

import click
import pytest
from rig.cases import cases
from rig.process import Started, environment, started

from gatekeeper.cli.main import COMMANDS, gatekeeper

HEAVY = ("trio", "duckdb", "quart", "hypercorn", "httpx2", "textual", "asyncio")
COMMAND = (sys.executable, "-m", "gatekeeper")


def lines_of_commands() -> list[list[str]]:
    """Every command and every command of a command."""
    lines: list[list[str]] = []
    for name in COMMANDS:
        command = gatekeeper.get_command(click.Context(gatekeeper), name)
        lines += [[name], *([name, sub] for sub in getattr(command, "commands", ()))]
    return lines


def test_help_loads_nothing_heavy() -> None:
    code = (
        "import sys; from gatekeeper.cli.main import run\n"
        "assert run(['--help']) == 0\n"
        "print('MODULES', *sorted(name for name in sys.modules if name.startswith('gatekeeper.')))\n"
        f"for line in {lines_of_commands()!r}: assert run([*line, '--help']) == 0\n"
        f"print('HEAVY', *[name for name in {HEAVY!r} if name in sys.modules])\n"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    found = {
        line.split()[0]: line.split()[1:]
        for line in said.splitlines()
        if line.isupper() or line[:7] == "MODULES"
    }
    assert found["HEAVY"] == []
    assert found["MODULES"] == [
        "gatekeeper.cli", "gatekeeper.cli.conventions", "gatekeeper.cli.main",
        "gatekeeper.runtime",
    ]  # fmt: skip


@cases("line", lines_of_commands())
def test_each_help_has_an_example(cli: Any, line: list[str]) -> None:
    ended = cli(*line, "--help")
    assert (ended.status, ended.err) == (0, "")
    assert f"  gatekeeper {' '.join(line)}" in ended.out.partition("Example")[2]


def test_the_help_of_serve_names_the_keys_of_the_file(cli: Any) -> None:
    """They are the settings' names, not the environment variables in lower case."""
    out = cli("serve", "--help").out
    assert "  GATEKEEPER_MASTER_KEY LITELLM_MASTER_KEY  " in out
    assert "lower case" not in out
    assert "`gatekeeper config` prints, such as master_key" in out


def test_the_help_of_all_names_every_command(cli: Any) -> None:
    out = cli("--help").out
    for name in COMMANDS:
        command = cast("click.Command", gatekeeper.get_command(click.Context(gatekeeper), name))
        assert command.name == name
        assert f"  {name} " in out
    assert cli("--version").out.startswith("gatekeeper 0.")


def test_a_command_without_its_command_shows_what_there_is(cli: Any) -> None:
    ended = cli("keys")
    assert ended.status == 2
    assert "rotate" in ended.err


def test_ctrl_c_is_quiet(gateway: Any) -> None:
    gateway.answers = {"GET /calls/stream": b":\n\n"}
    with started("calls", "tail", "--json", "--url", gateway.url) as command:
        assert "Retrying" in command.stderr.readline()
        command.process.send_signal(signal.SIGINT)
        assert command.ended() == 130
        assert command.stdout.read() == ""
        said = command.stderr.read().splitlines()
    assert [line for line in said if line and "Reconnected" not in line and "Retrying" not in line] == []


UNWRITABLE = (
    "gatekeeper: stdout cannot be written: No space left on device. "
    "What the command has changed at the gateway is changed."
)


@pytest.mark.parametrize("words", ["--help", "man", "completion zsh"])
def test_output_that_cannot_be_written_is_said_and_no_success(words: str) -> None:
    with Path("/dev/full").open("w") as full:
        ended = subprocess.run(
            [*COMMAND, *words.split()], stdout=full, stderr=subprocess.PIPE, text=True, check=False
        )
    assert (ended.returncode, ended.stderr.splitlines()[-1]) == (1, UNWRITABLE)
    assert "internal error" not in ended.stderr


@pytest.mark.parametrize("words", ["calls list --json", "keys create", "calls export --format csv"])
def test_and_so_is_what_a_gateway_has_answered(gateway: Any, words: str) -> None:
    gateway.answers = {
        "GET /calls": {"calls": [], "next_cursor": None},
        "POST /key/generate": {"key": "sk-of-the-tests", "token_id": "key_1", "key_alias": "me"},
    }
    with (
        Path("/dev/full").open("wb") as full,
        started(*words.split(), stdout=full, GATEKEEPER_URL=gateway.url) as command,
    ):
        said = command.stderr.read()
        assert (command.ended(), said.splitlines()[-1]) == (1, UNWRITABLE)
    assert "internal error" not in said


def test_a_reader_that_has_enough_is_no_fault(gateway: Any) -> None:
    call = {"id": "x" * 36, "path": "y" * 200, "tags": ["z" * 200]}
    gateway.answers = {"GET /calls": {"calls": [call] * 1000, "next_cursor": None}}
    words = [*COMMAND, "calls", "list", "--url", gateway.url]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout
        assert process.stdout.readline().startswith("started")
        process.stdout.close()
        assert process.stderr
        assert process.stderr.read() == ""
        assert process.wait(10) == 0


@contextmanager
def terminal() -> Iterator[tuple[BinaryIO, Callable[[], str]]]:
    """A terminal of 60 columns for a command, and what it has shown once that has ended."""
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (24, 60))
    with open(ours, "rb", buffering=0) as screen, open(theirs, "wb", buffering=0) as output:  # noqa: PTH123

        def shown() -> str:
            output.close()
            return screen.read(65536).decode()

        yield output, shown


@pytest.mark.parametrize(("no_color", "coloured"), [("", True), ("1", False)])
def test_a_terminal_has_a_table_that_fits_and_colour_if_it_wants_it(
    gateway: Any, no_color: str, coloured: bool
) -> None:
    gateway.answers = {"GET /calls": {"calls": [{"id": "i" * 36, "status": 200, "outcome": "ok"}]}}
    colours = {"NO_COLOR": no_color, "TERM": "xterm"}
    with terminal() as (stdout, screen):
        with started("calls", "list", "--url", gateway.url, stdout=stdout, **colours) as command:
            assert command.stderr.read() == "No room for id: a wider terminal or --json has them.\n"
            assert command.ended() == 0
        shown = screen()
    assert "✓ 200" in shown
    assert ("\x1b[2m✓ 200" in shown) == coloured
    assert ("\x1b" in shown) == coloured


@pytest.mark.parametrize("form", ["csv", "ndjson"])
def test_an_export_to_a_terminal_has_nothing_that_it_would_execute(gateway: Any, form: str) -> None:
    gateway.answers = {
        "GET /calls": {"calls": [{"id": "1", "user_agent": "a\x1b[2Jb\x9b31mc"}], "next_cursor": None}
    }
    words = ("calls", "export", "--url", gateway.url, "--format")
    with terminal() as (stdout, screen):
        with started(*words, form, stdout=stdout) as command:
            assert command.ended() == 0
        with started(*words, "parquet", stdout=stdout) as refused:
            assert refused.ended() == 2
            assert "give a file by --out" in refused.stderr.read()
        shown = screen()
    assert "31mc" in shown
    assert not set("\x1b\x9b") & set(shown)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP], ids=lambda number: number.name)
def test_what_ends_the_command_ends_its_program_and_returns_the_file(
    gateway: Any, tmp_path: Path, number: signal.Signals
) -> None:
    gateway.answers = {"POST /sql/lend": {"file": str(tmp_path)}, "POST /sql/return": {"returned": True}}
    code = "import os, time; print(os.getpid(), flush=True); time.sleep(60)"
    program = f"{shlex.quote(sys.executable)} -c {shlex.quote(code)} {{file}}"
    with started("sql", "--exec", program, "--url", gateway.url) as command:
        child = int(command.stdout.readline())
        command.process.send_signal(number)
        assert command.ended() == 128 + number
    assert gateway.asked[-1].path == "/sql/return"
    with pytest.raises(ProcessLookupError):
        os.kill(child, 0)


def test_a_command_that_is_killed_has_its_file_returned(gateway: Any, tmp_path: Path) -> None:
    gateway.answers = {"POST /sql/lend": {"file": str(tmp_path)}, "POST /sql/return": {"returned": True}}
    os.mkfifo(over := tmp_path / "over")
    code = "import sys; print('runs', flush=True); sys.stdout.close(); open(sys.argv[1] + '/over').read()"
    program = f"{shlex.quote(sys.executable)} -c {shlex.quote(code)} {{file}}"
    with started("sql", "--exec", program, "--url", gateway.url) as command:
        command.stdout.readline()
        command.process.kill()
        command.process.join(20)
        asked_for(gateway, 2)
        over.write_text("")
    assert [asked.path for asked in gateway.asked] == ["/sql/lend", "/sql/return"]


def test_a_command_that_is_killed_while_it_returns_the_file_has_it_returned(
    gateway: Any, tmp_path: Path
) -> None:
    begun: Future[Started] = Future()

    def returned(_asked: Any) -> object:
        if len(gateway.asked) == 2:
            begun.result(20).process.kill()
        return {"returned": True}

    gateway.answers = {"POST /sql/lend": {"file": str(tmp_path)}, "POST /sql/return": returned}
    with started("sql", "--exec", "true {file}", "--url", gateway.url) as command:
        begun.set_result(command)
        asked_for(gateway, 3)
        command.process.join(20)
    assert [asked.path for asked in gateway.asked] == ["/sql/lend", "/sql/return", "/sql/return"]


def asked_for(gateway: Any, times: int) -> None:
    """Returns once the gateway was asked so often, or has not been for long."""
    deadline = time.monotonic() + 20
    while len(gateway.asked) < times and time.monotonic() < deadline:
        time.sleep(0.01)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP], ids=lambda each: each.name)
def test_what_ends_a_repricing_has_its_file_returned(
    gateway: Any, tmp_path: Path, number: signal.Signals
) -> None:
    os.mkfifo(own := tmp_path / "prices.toml")
    gateway.answers = {
        "GET /prices": {"version": "1", "checked": "2026-11-24", "own_file": str(own)},
        "POST /sql/lend": {"file": str(tmp_path)},
        "POST /sql/return": {"returned": True},
    }
    words = ("prices", "reprice", "--since", "30d", "--url", gateway.url)
    # Opening a pipe waits for who reads it: the prices are read once the file is lent.
    with started(*words) as command, own.open("w"):
        command.process.send_signal(number)
        assert command.ended() == 128 + number
    assert [asked.path for asked in gateway.asked] == ["/prices", "/sql/lend", "/sql/return"]


@pytest.mark.parametrize(
    "number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP], ids=lambda number: number.name
)
def test_what_ends_the_command_while_it_asks_for_the_file_has_it_returned(
    gateway: Any, tmp_path: Path, number: signal.Signals
) -> None:
    begun: Future[Started] = Future()

    def lend(_asked: Any) -> object:
        begun.result(20).process.send_signal(number)
        return {"file": str(tmp_path)}

    gateway.answers = {"POST /sql/lend": lend, "POST /sql/return": {"returned": True}}
    with started("sql", "--exec", "touch {file}/run", "--url", gateway.url) as command:
        begun.set_result(command)
        assert command.ended() == 128 + number
    assert [asked.path for asked in gateway.asked] == ["/sql/lend", "/sql/return"]
    assert not (tmp_path / "run").exists()


def test_who_insists_does_not_wait_for_a_gateway_that_does_not_answer() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        with started("sql", "--exec", "true {file}", "--url", url) as command:
            connection, _ = silent.accept()
            with connection:
                connection.recv(1)
                command.process.send_signal(signal.SIGTERM)
                command.process.send_signal(signal.SIGINT)
                assert command.ended() in (128 + signal.SIGTERM, 128 + signal.SIGINT)


def test_the_terminal_application_needs_a_terminal() -> None:
    with started("tui") as command:
        assert (command.ended(), command.stdout.read()) == (2, "")
        said = "tui needs a terminal; for scripts there are keys, calls, spend and audit, with --json"
        assert command.stderr.read() == f"gatekeeper: {said}.\n"


def test_the_sandbox_alone_until_it_is_stopped() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        with started("sandbox", "--port", str(port)) as refused:
            assert refused.ended() == 2
            said = refused.stderr.read()
    assert f"cannot listen on 127.0.0.1:{port}" in said
    assert said.count("\n") == 1
    with started("sandbox", "--port", str(port)) as command:
        url = f"http://127.0.0.1:{port}"
        assert (
            command.stdout.readline() == f"simulated Gemini API at {url}, for any key; stop it with ctrl+c\n"
        )
        with urllib.request.urlopen(f"{url}/v1beta/models?key=any", timeout=10) as answer:
            assert b"gemini-2.5-flash" in answer.read()
        command.process.send_signal(signal.SIGINT)
        assert (command.ended(), command.stderr.read()) == (0, "")


@pytest.mark.parametrize("zone", ["UTC+25", "UTC-24"])
def test_a_zone_a_day_or_more_off_counts_as_utc(gateway: Any, zone: str) -> None:
    gateway.answers = {"GET /calls": {"calls": [{"id": "i" * 36, "started_at": "2026-11-24T13:07:21Z"}]}}
    words = ("calls", "list", "--since", "2026-11-24", "--url", gateway.url)
    ended = subprocess.run(
        [*COMMAND, *words], env=environment({"TZ": zone}), capture_output=True, text=True, check=False
    )
    assert (ended.returncode, ended.stderr) == (0, "")
    assert "13:07:21" in ended.stdout


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT], ids=lambda each: each.name)
@pytest.mark.parametrize("form", ["csv", "ndjson", "parquet"])
def test_an_export_that_is_ended_leaves_no_file(
    gateway: Any, tmp_path: Path, number: signal.Signals, form: str
) -> None:
    (out := tmp_path / "calls").write_text("before")
    (theirs := tmp_path / "calls.part").write_text("mine")
    (temporary := tmp_path / "tmp").mkdir()
    words = ("calls", "export", "--out", str(out), "--format", form, "--url", gateway.url)
    begun: Future[Started] = Future()
    over = Event()

    def page(_asked: Any) -> object:
        if len(gateway.asked) > 1:
            begun.result(20).process.send_signal(number)
            over.wait(20)
        return {"calls": [{"id": "i" * 36}], "next_cursor": "1"}

    gateway.answers = {"GET /calls": page}
    with started(*words, TMPDIR=str(temporary)) as command:
        begun.set_result(command)
        assert command.ended() == 128 + number
        over.set()
    assert sorted(tmp_path.iterdir()) == sorted([out, theirs, temporary])
    assert [*temporary.iterdir()] == []
    assert (out.read_text(), theirs.read_text()) == ("before", "mine")


def test_a_hangup_that_is_ignored_does_not_end_the_borrower(gateway: Any, tmp_path: Path) -> None:
    gateway.answers = {"POST /sql/lend": {"file": str(tmp_path)}, "POST /sql/return": {"returned": True}}
    words = ("sql", "--exec", "sh -c 'kill -HUP $PPID $$; echo goes on' {file}", "--url", gateway.url)
    ended = subprocess.run(
        ["sh", "-c", "trap '' HUP; exec \"$@\"", "-", *COMMAND, *words],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "goes on\n", "")
