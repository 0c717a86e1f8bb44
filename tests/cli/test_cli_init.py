"""`gatekeeper init`: a settings file, by questions on a terminal or by flags; its keys are nowhere else."""

from __future__ import annotations

import contextlib
import os
import pty
import re
import select
import subprocess
import sys
import threading
import tomllib
from collections.abc import Iterator
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st

from gatekeeper.cli.init import settings_text
from gatekeeper.sandbox.server import serve_sandbox
from gatekeeper.settings import load

COMMAND = (sys.executable, "-m", "gatekeeper", "init")
KEY = "AIzaOfTheTestsThatNobodyMaySee"
FILE = Path("gatekeeper.toml")
PATIENCE = 20.0


@pytest.fixture(scope="module")
def google() -> Iterator[str]:
    """The address of a simulated Google, which refuses the key `invalid`."""
    begun: SimpleQueue[Any] = SimpleQueue()

    async def serve() -> None:
        async with trio.open_nursery() as nursery:
            port = await nursery.start(serve_sandbox, "127.0.0.1", 0)
            begun.put((port, trio.lowlevel.current_trio_token(), nursery.cancel_scope))

    thread = threading.Thread(target=trio.run, args=(serve,))
    thread.start()
    port, token, scope = begun.get(timeout=PATIENCE)
    yield f"http://127.0.0.1:{port}"
    token.run_sync_soon(scope.cancel)
    thread.join()


def written(file: Path = FILE) -> dict[str, Any]:
    assert file.stat().st_mode & 0o777 == 0o600
    assert [path.name for path in file.parent.iterdir() if "toml" in path.name] == [file.name]
    return tomllib.loads(file.read_text())


# By flags


@pytest.mark.parametrize("way", ["environment", "stdin"])
def test_without_a_terminal_by_flags_alone(
    cli: Any, google: str, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    if way == "environment":
        monkeypatch.setenv("GEMINI_API_KEY", KEY)
    more = ["--google-key-stdin"] if way == "stdin" else []
    ended = cli("init", "--upstream", google, "--port", "4100", *more, typed=f"{KEY}\n")
    assert (ended.status, ended.err) == (0, "Google accepts the key.\n")
    found = written()
    master = found.pop("master_key")
    assert found == {"upstream": google, "port": 4100, "gemini_api_key": KEY}
    assert re.fullmatch(r"sk-[\w-]{43}", master)
    assert not [secret for secret in (KEY, master) if secret in ended.out + ended.err]
    assert "  gatekeeper serve\n" in ended.out
    assert "  export GATEKEEPER_URL=http://127.0.0.1:4100\n" in ended.out
    (export,) = re.findall(r"^  (export GATEKEEPER_MASTER_KEY=.*)$", ended.out, re.MULTILINE)
    said = subprocess.run(
        ["sh", "-c", f'{export}; printf %s "$GATEKEEPER_MASTER_KEY"'],
        capture_output=True,
        text=True,
        check=True,
    )
    assert said.stdout == master, "what it says to run puts the key where the other commands look for it"


def test_for_the_sandbox_no_key_is_needed(cli: Any) -> None:
    ended = cli("init", "--sandbox", "--open", "--config", "my settings.toml")
    assert (ended.status, ended.err) == (0, "")
    assert written(Path("my settings.toml")) == {"sandbox": True}
    assert "  gatekeeper serve --config 'my settings.toml'\n" in ended.out
    assert "GATEKEEPER_MASTER_KEY" not in ended.out
    assert (
        cli("config", "--config", "my settings.toml", "--json").document["settings"]["sandbox"]["value"]
        is True
    )


def test_a_master_key_of_the_environment_is_kept(cli: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GATEKEEPER_MASTER_KEY", 'a "quoted" master key')
    ended = cli("init", "--sandbox")
    assert written()["master_key"] == 'a "quoted" master key'
    assert "export GATEKEEPER_MASTER_KEY" not in ended.out
    assert "quoted" not in ended.out + ended.err


@pytest.mark.parametrize("args", [[], ["--google-key-stdin"]], ids=" ".join)
def test_without_a_key_it_says_where_one_may_come_from(cli: Any, args: list[str]) -> None:
    ended = cli("init", *args)
    assert (ended.status, ended.out) == (2, "")
    assert not [
        word for word in ("GEMINI_API_KEY", "--google-key-stdin", "--sandbox") if word not in ended.err
    ]
    assert not FILE.exists()


@pytest.mark.parametrize(
    ("variables", "args", "said"),
    [
        ({"GEMINI_API_KEY": "a b"}, [], "gemini_api_key: the value (set by GEMINI_API_KEY)"),
        ({"GOOGLE_API_KEY": "a b"}, ["--no-check"], "gemini_api_key: the value (set by GOOGLE_API_KEY)"),
        ({}, ["--google-key-stdin"], "gemini_api_key: the value (set by --google-key-stdin)"),
        (
            {"GATEKEEPER_MASTER_KEY": "caf\u00e9"},
            ["--sandbox"],
            "master_key: the value (set by GATEKEEPER_MASTER_KEY)",
        ),
        ({}, ["--sandbox", "--port", "99999"], "port: '99999' (set by --port)"),
    ],
)
def test_a_value_that_is_not_allowed_is_told_with_where_it_came_from(
    cli: Any, monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], args: list[str], said: str
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    ended = cli("init", *args, typed="a b\n")
    assert (ended.status, ended.out) == (2, "")
    assert ended.err.startswith(f"gatekeeper: {said} is not allowed")
    assert ended.err.count("\n") == 1, "Google is not asked about such a key"
    assert not FILE.exists()


def test_a_key_that_google_refuses_is_not_written(cli: Any, google: str) -> None:
    args = ("init", "--upstream", google, "--google-key-stdin")
    ended = cli(*args, typed=f"{KEY},invalid\n")
    assert (ended.status, ended.out) == (6, "")
    assert "refuses the Google key (number 2): 400: API key not valid" in ended.err
    assert KEY not in ended.err
    assert not FILE.exists()
    assert cli(*args, "--no-check", typed="invalid\n").status == 0
    assert written()["gemini_api_key"] == "invalid"


def test_where_google_cannot_be_asked_the_file_is_written_and_it_is_said(cli: Any, gateway: Any) -> None:
    gateway.answers = {"GET /v1beta/models": (500, {})}
    for upstream, why in (
        (gateway.url, "it answers 500"),
        ("http://127.0.0.1:9", "no connection can be made"),
    ):
        ended = cli("init", "--upstream", upstream, "--google-key-stdin", "--force", typed=KEY)
        assert ended.status == 0
        assert (
            f"Whether Google accepts the Google key is not known: {upstream} cannot be asked ({why})"
            in ended.err
        )
        assert written()["gemini_api_key"] == KEY
    assert gateway.asked[0].headers["x-goog-api-key"] == KEY
    assert KEY not in str(gateway.asked[0].query)


def test_a_file_that_is_there_is_kept_without_force(cli: Any) -> None:
    FILE.write_text("# mine\n")
    FILE.chmod(0o644)
    ended = cli("init", "--sandbox")
    assert (ended.status, ended.out) == (6, "")
    assert "--force" in ended.err
    assert FILE.read_text() == "# mine\n"
    assert cli("init", "--sandbox", "--force").status == 0
    assert written()["sandbox"] is True


def test_what_is_no_file_is_never_replaced_and_a_link_stays(cli: Any, tmp_path: Path) -> None:
    pipe, link, file = tmp_path / "pipe", tmp_path / "link", tmp_path / "file"
    os.mkfifo(pipe)
    link.symlink_to(file)
    for out in (pipe, tmp_path):
        ended = cli("init", "--sandbox", "--force", "--config", str(out))
        assert (ended.status, ended.out) == (6, "")
        assert f"{out} is no file" in ended.err
    assert pipe.is_fifo()
    file.write_text("port = 4001")
    assert cli("init", "--sandbox", "--config", str(link)).status == 6
    assert cli("init", "--sandbox", "--force", "--config", str(link)).status == 0
    assert link.is_symlink()
    assert tomllib.loads(file.read_text())["sandbox"] is True
    assert file.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    ("args", "status", "said"),
    [
        (["--port", "0"], 2, "port: '0' (set by --port) is not allowed; it takes a whole number"),
        (["--open", "--host", "0.0.0.0"], 2, "Set GATEKEEPER_MASTER_KEY, or listen on 127.0.0.1"),
        (["--config", "nix/gatekeeper.toml"], 6, "nix/gatekeeper.toml cannot be written: No such file"),
    ],
)
def test_what_serve_would_not_take_is_not_written(
    cli: Any, tmp_path: Path, args: list[str], status: int, said: str
) -> None:
    ended = cli("init", "--sandbox", *args)
    assert (ended.status, ended.out) == (status, "")
    assert said in ended.err
    assert list(tmp_path.iterdir()) == []


@given(
    key=st.from_regex(r"[!-+\--~]{1,40}", fullmatch=True),
    master=st.from_regex(r"[!-~]([ -~]{0,40}[!-~])?", fullmatch=True),
    data=st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1),
)
def test_every_value_is_read_as_it_was_written(
    tmp_path_factory: pytest.TempPathFactory, key: str, master: str, data: str
) -> None:
    file = tmp_path_factory.mktemp("init") / "gatekeeper.toml"
    values = {"gemini_api_key": key, "master_key": master, "data": data}
    file.write_text(settings_text(values), encoding="utf-8", newline="")
    settings = load({}, {}, file)
    assert (settings.gemini_api_key, settings.master_key) == ((key,), master)
    assert settings.data == Path(data)


# On a terminal


class Terminal:
    """`gatekeeper init` on a terminal of its own."""

    def __init__(self, folder: Path, *args: str) -> None:
        self._ours, theirs = pty.openpty()
        self.screen = ""
        self._process = subprocess.Popen(
            [*COMMAND, *args], stdin=theirs, stdout=theirs, stderr=theirs, cwd=folder, start_new_session=True
        )
        os.close(theirs)

    def answer(self, question: str, text: str) -> None:
        """Waits for the question on the screen."""
        seen = len(self.screen)
        while question not in self.screen[seen:]:
            assert self._read(), self.screen
        os.write(self._ours, f"{text}\n".encode())

    def _read(self) -> bool:
        """Whether there was something more on the screen."""
        if not select.select([self._ours], [], [], PATIENCE)[0]:
            return False
        with contextlib.suppress(OSError):  # what a terminal without a program gives
            if data := os.read(self._ours, 4096):
                self.screen += data.decode()
                return True
        return False

    def ended(self) -> int:
        while self._read():
            pass
        os.close(self._ours)
        return self._process.wait(PATIENCE)


def test_a_few_questions_on_a_terminal(tmp_path: Path, google: str) -> None:
    terminal = Terminal(tmp_path, "--upstream", google)
    terminal.answer("enter for the simulated API", KEY)
    terminal.answer("Address to listen on [127.0.0.1]", "")
    terminal.answer("Port [4000]", "many")
    terminal.answer("it takes a whole number from 1 to 65535", "4100")
    terminal.answer("Data folder [./data]", "/var/lib/gatekeeper")
    terminal.answer("Make a master key?", "")
    assert terminal.ended() == 0, terminal.screen
    found = written(tmp_path / FILE)
    master = found.pop("master_key")
    assert found == {"upstream": google, "port": 4100, "data": "/var/lib/gatekeeper", "gemini_api_key": KEY}
    assert "Google accepts the key." in terminal.screen
    assert not [secret for secret in (KEY, master) if secret in terminal.screen]


def test_enter_all_the_way_is_the_sandbox(tmp_path: Path) -> None:
    terminal = Terminal(tmp_path)
    terminal.answer("enter for the simulated API", "")
    terminal.answer("Address to listen on [127.0.0.1]", "")
    terminal.answer("Port [4000]", "")
    terminal.answer("Data folder [./data-sandbox]", "")
    terminal.answer("Make a master key?", "n")
    assert terminal.ended() == 0, terminal.screen
    assert written(tmp_path / FILE) == {"sandbox": True}


def test_what_flags_say_is_not_asked(tmp_path: Path) -> None:
    terminal = Terminal(tmp_path, "--sandbox", "--open", "--host", "::1", "--data", "d")
    terminal.answer("Port [4000]", "\x04")  # the end of input
    assert terminal.ended() == 130
    assert not (tmp_path / FILE).exists()
