"""What the tab key completes: commands, options, choices, and what a gateway knows."""

from __future__ import annotations

import os
import pty
import re
import select
import shlex
import shutil
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rig.cases import cases

from gatekeeper.cli.completion import split_line
from gatekeeper.cli.main import COMMANDS
from gatekeeper.keys.policies import SERVICE_TIERS

MASTER = "sk-master-that-nobody-may-see"
PATIENCE = 20.0
KNOWN = {
    "GET /key/list": {
        "keys": [
            {
                "token_id": "key_1",
                "key_alias": "web-frontend",
                "key_name": "sk-...wxyz",
                "tags": ["shop", "eu"],
            },
            {"token_id": "key_2", "key_alias": "web two", "blocked": True},
            {"token_id": "key_3", "key_alias": None},
            {"token_id": "key_4", "key_alias": "two\nlines"},
            {"token_id": "key_5", "key_alias": "-dash"},
        ]
    },
    "GET /group/list": {"groups": [{"group": "shop"}]},
    "GET /user/list": {"users": [{"user_id": "alice"}]},
    "GET /models": {"seen": [{"model": "gemini-99"}, {"model": None}]},
    "GET /spend": {"rows": [{"tag": "checkout"}, {"tag": "a, b"}, {"tag": None}]},
    "GET /calls": {
        "calls": [{"id": "019ab8a0-1", "model": "gemini-99", "status": 200, "key_alias": "web-frontend"}]
    },
}
Typed = Callable[..., list[str]]


@pytest.fixture
def typed(cli: Any, gateway: Any, monkeypatch: pytest.MonkeyPatch) -> Typed:
    """What is offered for the last of these words, as zsh and fish ask."""
    gateway.answers = dict(KNOWN)
    monkeypatch.setenv("GATEKEEPER_URL", gateway.url)
    monkeypatch.setenv("GATEKEEPER_MASTER_KEY", MASTER)
    monkeypatch.setenv("_GATEKEEPER_COMPLETE", "zsh")
    # A machine that has other things to do may take longer than a person would wait.
    monkeypatch.setattr("gatekeeper.cli.live_values.SECONDS", PATIENCE)

    def offered(*words: str) -> list[str]:
        ended = cli(*words)
        assert (ended.status, ended.err) == (0, "")
        assert "sk-" not in ended.out
        kind, *lines = ended.out.splitlines() or [""]
        return [kind] if kind == "files" else [line.partition("\t")[0] for line in lines]

    return offered


@cases(
    ("words", "offered"),
    [
        ([""], list(COMMANDS)),
        (["ke"], ["keys"]),
        (["keys", "ro"], ["rotate"]),
        (["keys", "list", "--lim"], ["--limit"]),
        (["calls", "export", "--format", ""], ["csv", "ndjson", "parquet"]),
        (["calls", "export", "--format=n"], ["--format=ndjson"]),
        (["calls", "export", "--out", ""], ["files"]),
        (["serve", "--config", ""], ["files"]),
        (["serve", "--data", ""], ["files"]),
        (["config", "--prices", "x"], ["files"]),
        (["prices", "quote", "--usage", ""], ["files"]),
        (["prices", "quote", "--tier", "fl"], ["flex"]),
        (["completion", ""], ["bash", "zsh", "fish"]),
        (["keys", "show", ""], ["web-frontend", "web two", "key_3"]),
        (["keys", "block", "web two", "key"], ["key_3"]),
        (["keys", "show", "--", ""], ["web-frontend", "web two", "key_3", "-dash"]),
        (["keys", "block", "--", "key_3", "-"], ["-dash"]),
        (["audit", "--changed", ""], ["web-frontend", "web two", "key_3", "-dash"]),
        (["keys", "create", "--role", ""], ["admin", "operator", "viewer"]),
        (["keys", "create", "--models", "x,gemini-99"], ["x,gemini-99"]),
        (["keys", "create", "--tags", "checkout,"], ["checkout,a, b"]),
        (["keys", "create", "--alias", ""], []),
        (["keys", "create", "--group", ""], ["shop"]),
        (["keys", "edit", "ci", "--unset", "rpm,max-b"], ["rpm,max-budget"]),
        (["keys", "explain", "ci", "-m", "gemini-9"], ["gemini-99"]),
        (["groups", "show", ""], ["shop"]),
        (["groups", "create", ""], []),
        (["users", "delete", "a"], ["alice"]),
        (["calls", "show", ""], ["019ab8a0-1"]),
        (["spend", "--by", "day,m"], ["day,model", "day,minute"]),
        (["audit", "--action", "create,rege"], ["create,regenerate"]),
        (["audit", "--by", "m"], ["master"]),
        (["prices", "show", "gemini-2.5-flash-image-"], ["gemini-2.5-flash-image-preview"]),
        (["keys", "list", ""], []),
        (["nonsense", ""], []),
        (["keys", "nonsense", ""], []),
    ],
)  # fmt: skip
def test_what_is_offered(typed: Typed, words: list[str], offered: list[str]) -> None:
    assert typed(*words) == offered


@cases(
    ("query", "offered"),
    [
        ("ta", ["tag:"]),
        ("-out", ["-outcome:", "-output:"]),
        ("status:4x", ["status:4xx"]),
        ("status:404,42", ["status:404,429"]),
        ("tag:x outcome:ref", ["tag:x outcome:refused"]),
        ("tag:", ["tag:checkout", 'tag:"a, b"']),
        ("-tag:x,ch", ["-tag:x,checkout"]),
        ('"free text" key:web-', ['"free text" key:web-frontend']),
        ("since:y", ["since:yesterday"]),
        ("nonsense:", []),
        ("path:/v1", []),
    ],
)
def test_the_terms_of_a_query(typed: Typed, query: str, offered: list[str]) -> None:
    assert typed("calls", "tail", "--query", query) == offered
    assert typed("spend", "-q", query) == offered


def test_every_service_tier_that_a_key_may_have_is_offered(typed: Typed) -> None:
    assert typed("keys", "create", "--service-tiers", "") == list(SERVICE_TIERS)
    assert typed("keys", "create", "--service-tiers", "flex,d") == ["flex,deferred"]


def test_the_key_goes_to_the_gateway_that_the_line_names(typed: Typed, gateway: Any, cli: Any) -> None:
    typed("keys", "show", "")
    typed("keys", "show", "--url", f"{gateway.url}/gemini/", "--key", "sk-another", "")
    asked = [(asked.path, asked.headers["authorization"]) for asked in gateway.asked]
    assert asked == [("/key/list", f"Bearer {MASTER}"), ("/key/list", "Bearer sk-another")]


@cases("answer", [(401, {}), (500, {}), b"no document", [], {"keys": "no list"}, {"keys": [1]}])
def test_a_gateway_that_does_not_tell_has_nothing_to_offer(typed: Typed, gateway: Any, answer: Any) -> None:
    gateway.answers = {"GET /key/list": [answer] if answer == [] else answer}
    assert typed("keys", "show", "") == []


def test_what_no_gateway_answers_is_not_waited_for(typed: Typed) -> None:
    """Else the deadline would pass, which is long here."""
    assert typed("keys", "show", "--key", "sk-€", "") == []
    with socket.create_server(("127.0.0.1", 0)) as other:
        thread = threading.Thread(target=speak_smtp, args=(other,))
        thread.start()
        assert typed("keys", "show", "--url", f"http://127.0.0.1:{other.getsockname()[1]}", "") == []
        thread.join()


def speak_smtp(listener: socket.socket) -> None:
    connection, _ = listener.accept()
    with connection:
        connection.recv(65536)
        connection.sendall(b"220 mail.example ESMTP\r\n")


def test_where_no_gateway_answers_in_time_nothing_is_said(
    typed: Typed, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        monkeypatch.setattr("gatekeeper.cli.live_values.SECONDS", 0.05)
        for url in (
            f"http://127.0.0.1:{silent.getsockname()[1]}",
            "http://127.0.0.1:9",
            "nonsense",
            "https://127.0.0.1:9",
        ):
            assert typed("keys", "show", "--url", url, "") == []


# The words of bash


@cases(
    ("line", "offered"),
    [
        ("gatekeeper ke", ["keys"]),
        ("FOO='a b' .venv/bin/gatekeeper ke", ["keys"]),
        ("gatekeeper calls list --query status:4x", ["4xx"]),
        ("gatekeeper calls list --query 'tag:x status:4x", ["tag:x status:4xx"]),
        ("gatekeeper calls list --query 'x tok", ["x tokens:", "x tokens:…"]),
        ("gatekeeper calls list --query 'tag:", ["tag:checkout", 'tag:"a, b"']),
        ('gatekeeper calls list --query "tag:', ["tag:checkout", r"tag:\"a, b\""]),
        ("gatekeeper calls list --query tag:", ["checkout", r"\"a,\ b\""]),
        ("gatekeeper calls export --format=nd", ["ndjson"]),
        ("gatekeeper calls export --format='nd", ["ndjson"]),
        ("gatekeeper keys show web", ["web-frontend", r"web\ two"]),
        (r"gatekeeper keys show web\ t", [r"web\ two"]),
        ("gatekeeper keys show 'web t", ["web two"]),
        ("gatekeeper calls export --out ", ["files"]),
        ("another ke", []),
    ],
)
def test_what_bash_puts_in_place_of_its_own_word(
    typed: Typed, monkeypatch: pytest.MonkeyPatch, line: str, offered: list[str]
) -> None:
    monkeypatch.setenv("_GATEKEEPER_COMPLETE", "bash")
    assert typed(line, " \t\n\"'><=;|&(:") == offered


@given(
    st.lists(st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]))),
    st.text("ab:=' \"$\\"),
)
def test_words_are_those_of_a_shell(words: list[str], last: str) -> None:
    found, at_cursor = split_line(f"{shlex.join(words)} ")
    assert (found, at_cursor.text) == (words, "")
    # Whatever is put in place of a word that is begun makes it the whole word.
    begun = "".join(f"\\{each}" for each in last)
    completed = split_line(begun)[1].replacement(last + "x", "")
    assert shlex.split(completed) == [last + "x"]


# Real shells

RECORDING = """
gatekeeper() {{
    if [ -n "$_GATEKEEPER_COMPLETE" ]; then {command} -m gatekeeper "$@"; else printf '<%s>\\n' "$@"; fi
}}
"""
FISH_RECORDING = """
function gatekeeper
    if set -q _GATEKEEPER_COMPLETE
        {command} -m gatekeeper $argv
    else
        printf '<%s>\\n' $argv
    end
end
"""
SETUP = {"bash": "PS1=ready-", "zsh": "autoload -U compinit; compinit -u -D; PS1=ready-"}
START = {"bash": ["bash", "--norc", "--noprofile", "-i"], "zsh": ["zsh", "-f", "-i"]}


def script_for(name: str) -> str:
    words = [sys.executable, "-m", "gatekeeper", "completion", name]
    return subprocess.run(words, capture_output=True, text=True, check=True).stdout


class Shell:
    """An interactive shell on a terminal of its own, whose `gatekeeper` prints its arguments."""

    def __init__(self, name: str, folder: Path) -> None:
        script = folder / "setup"
        recording = RECORDING.format(command=shlex.quote(sys.executable))
        script.write_text(f"{recording}\n{SETUP[name].partition('PS1')[0]}\n{script_for(name)}\nPS1=ready-\n")
        self._ours, theirs = pty.openpty()
        environment = os.environ | {"TERM": "dumb", "PS1": "$ ", "INPUTRC": "/dev/null", "HOME": str(folder)}
        self._process = subprocess.Popen(
            START[name], stdin=theirs, stdout=theirs, stderr=theirs, env=environment, start_new_session=True
        )
        os.close(theirs)
        self.screen = ""
        os.write(self._ours, f". {shlex.quote(str(script))}\n".encode())
        self._until("ready-")

    def arguments(self, line: str) -> list[str]:
        """What `gatekeeper` is run with after this line, with tabs in it, has been typed."""
        self.screen = ""
        os.write(self._ours, line.encode())
        os.write(self._ours, b"\n")
        self._until("ready-")
        return re.findall(r"^<(.*?)>\r?$", self.screen, re.MULTILINE)

    def _until(self, text: str) -> None:
        while text not in self.screen:
            assert select.select([self._ours], [], [], PATIENCE)[0], self.screen
            self.screen += os.read(self._ours, 4096).decode()

    def end(self) -> None:
        self._process.kill()
        self._process.wait()
        os.close(self._ours)


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(
            name, marks=pytest.mark.skipif(not shutil.which(name), reason=f"there is no {name} here")
        )
        for name in ("bash", "zsh")
    ],
)
def test_a_real_shell_completes_the_line(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without what a gateway knows: it would have to answer in time."""
    (tmp_path / "exported.csv").write_text("")
    monkeypatch.chdir(tmp_path)
    shell = Shell(name, tmp_path)
    try:
        assert shell.arguments("gatekeeper keys sho\tx") == ["keys", "show", "x"]
        assert shell.arguments("gatekeeper calls tail -q status:4x\t") == [
            "calls",
            "tail",
            "-q",
            "status:4xx",
        ]
        assert shell.arguments("gatekeeper calls tail -q 'x outc\tref\t")[-1] == "x outcome:refused"
        assert shell.arguments("gatekeeper calls export --out exp\t")[-1] == "exported.csv"
    finally:
        shell.end()


@pytest.mark.skipif(not shutil.which("fish"), reason="there is no fish here")
def test_fish_completes_the_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    script = tmp_path / "setup.fish"
    script.write_text(FISH_RECORDING.format(command=sys.executable) + script_for("fish"))
    said = subprocess.run(
        ["fish", "--no-config", "-c", f"source {script}; complete -C 'gatekeeper keys unb'"],
        capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    assert said.splitlines() == ["unblock\tAccept calls of a blocked key again."]
