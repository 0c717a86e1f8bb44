"""The examples of every `--help`, as a shell takes them when they are pasted, against one gateway."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import click
import pytest
import trio
from litellm.rows import RECORDED
from rig.process import Served, command, serving

from gatekeeper.cli.main import COMMANDS, gatekeeper

# They run until they are stopped: only that their arguments are right is checked.
LASTING = (("serve",), ("sandbox",), ("tui",), ("calls", "tail"))
# It needs a database of LiteLLM's.
ELSEWHERE = "postgresql://reader@db.example/litellm"
CALL_ID = "019ab8a0-5c1f-7cc3-9a52-0d8f3f1f2b11"
DEFAULT_URL = "http://127.0.0.1:4000"
CALL = "/gemini/v1beta/models/gemini-2.5-pro:generateContent"
USAGE = {"promptTokenCount": 10, "candidatesTokenCount": 5, "totalTokenCount": 15}
OWN_PRICES = "[[models]]\nids = ['gemini-2.5-flash']\nprices = [{ tier = 'standard', input = '1' }]\n"
# A function in place of the program tells which words the shell gives it.
TELLING = r"""gatekeeper() { printf '%s\0' "$@" >&3; printf '\1\0' >&3; }"""


def examples(command: click.Command) -> Iterator[str]:
    """The lines that begin with the program's name, of this command and of those below it."""
    for line in (command.epilog or "").splitlines():
        if line.strip().startswith("gatekeeper "):
            yield line.strip()
    for below in getattr(command, "commands", {}).values():
        yield from examples(below)


def all_examples() -> list[str]:
    context = click.Context(gatekeeper)
    commands = (gatekeeper.get_command(context, name) for name in COMMANDS)
    return list(dict.fromkeys(line for each in (gatekeeper, *commands) if each for line in examples(each)))


def as_pasted(lines: list[str], home: Path) -> list[list[str]]:
    """The arguments of each line, as a shell reads it: quotes, comments, redirections and all."""
    told = home / "told"
    script = "\n".join([TELLING, *lines])
    environment = os.environ | {"HOME": str(home)}
    subprocess.run(["bash", "-euc", f"exec 3>told\n{script}"], cwd=home, env=environment, check=True)
    return [part.split("\0")[:-1] for part in told.read_text().split("\x01\0")[:-1]]


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """What the examples take from the current folder."""
    for name in (".zsh/completions", ".config/fish/completions", "data", "bin"):
        (tmp_path / name).mkdir(parents=True, exist_ok=True)
    (tmp_path / "key.txt").write_text("AIzaOfTheExamples\n")
    (tmp_path / "usage.json").write_text(json.dumps(USAGE))
    (tmp_path / "call.json").write_text(json.dumps({"model": "gemini-2.5-pro", "usage": USAGE}))
    (tmp_path / "new-keys.csv").write_text("alias,max-budget\nfirst,5\nsecond,5\n")
    (tmp_path / "gatekeeper.toml").write_text("sandbox = true\n")
    for file in ("prices.toml", "data/prices.toml"):
        (tmp_path / file).write_text(OWN_PRICES)
    shutil.copytree(RECORDED, tmp_path / "exported", ignore=shutil.ignore_patterns("*.py", "__pycache__"))
    bill = Path(__file__).parents[1] / "reconcile" / "console.csv"
    shutil.copy(bill, tmp_path / "Reports, 2026-11.csv")
    program = tmp_path / "bin" / "duckdb"
    program.write_text('#!/bin/sh\ntest -f "$2"\n')
    program.chmod(0o755)
    return tmp_path


async def prepare(served: Served, words: list[str]) -> None:
    """The names that an example is about: not there yet where it makes them."""
    for key in (await served.get("/key/list"))["keys"]:
        await served.post("/key/delete", {"key": key["token_id"]})
    for noun, member in (("group", "group"), ("user", "user_id")):
        for account in (await served.get(f"/{noun}/list"))[f"{noun}s"]:
            await served.post(f"/{noun}/delete", {member: account[member]})
    if not {"create", "import"} & {*words}:
        await served.post("/key/generate", {"key_alias": "ci", "rpm_limit": 5})
        await served.post("/group/generate", {"group": "shop", "rpm_limit": 5})
        await served.post("/user/generate", {"user_id": "alice", "rpm_limit": 5})


def parse(words: list[str]) -> None:
    """Raises UsageError for arguments that a command does not take."""
    command: click.Command = gatekeeper
    context = click.Context(command, info_name="gatekeeper")
    while isinstance(command, click.Group):
        name, found, words = command.resolve_command(context, words)
        assert found
        command, context = found, click.Context(found, parent=context, info_name=name)
    command.make_context(context.info_name, list(words), parent=context.parent)


async def as_process(home: Path, words: list[str], url: str) -> tuple[int, str]:
    ended = await command(home, *words, GATEKEEPER_URL=url)
    return ended.returncode, ended.stderr.decode()


async def test_every_example_works_when_it_is_pasted(
    cli: Any, home: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = all_examples()
    pasted = as_pasted(lines, home)
    assert len(pasted) == len(lines)
    monkeypatch.setenv("GEMINI_API_KEY", "AIzaOfTheExamples")
    monkeypatch.setenv("PATH", f"{home / 'bin'}{os.pathsep}{os.environ['PATH']}")
    async with serving(tmp_path_factory.mktemp("gateway"), "--sandbox") as served:
        monkeypatch.setenv("GATEKEEPER_URL", served.url)
        answer = await served.client.post(CALL, json={"contents": [{"parts": [{"text": "Hi"}]}]})
        here = {
            CALL_ID: answer.headers["x-gatekeeper-call-id"],
            DEFAULT_URL: served.url,
            "/etc/gatekeeper.toml": str(home / "gatekeeper.toml"),
        }
        for line, given in zip(lines, pasted, strict=True):
            words = [here.get(word, word) for word in given]
            if any(tuple(words[: len(each)]) == each for each in LASTING) or ELSEWHERE in words:
                parse(words)
                continue
            if words[0] == "init":
                # Google is not asked, and each of them finds a folder without a file.
                (home / "gatekeeper.toml").unlink(missing_ok=True)
                words.append("--no-check")
            if words[0] in ("keys", "groups", "users", "import"):
                await prepare(served, words)
            if "--exec" in words:
                # It leaves signals to the other program, which only a main thread can.
                status, said = await as_process(home, words, served.url)
            else:
                typed = (home / "key.txt").read_text()
                ended = await trio.to_thread.run_sync(partial(cli, *words, typed=typed))
                status, said = ended.status, ended.err
            assert status == 0, (line, said)


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("gatekeeper calls tail --query 'status:>=400'", ["calls", "tail", "--query", "status:>=400"]),
        ("gatekeeper calls tail --query status:>=400", ["calls", "tail", "--query", "status:"]),
        ("gatekeeper serve  # a comment", ["serve"]),
    ],
)
def test_a_line_is_read_as_a_shell_reads_it(tmp_path: Path, line: str, words: list[str]) -> None:
    assert as_pasted([line], tmp_path) == [words]
