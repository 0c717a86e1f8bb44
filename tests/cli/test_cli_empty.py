"""An option that is given but empty, because the shell variable behind it was not set: never a fault of ours,
and never read as if it had not been given."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from typing import Any

import click
from rig.cases import cases

from gatekeeper.cli.main import gatekeeper

ARGUMENTS = {"calls show": ["ID"], "prices quote": ["gemini-2.5-flash"], "sql": ["SELECT 1"]}


def commands(group: click.Group, *words: str) -> Iterator[tuple[str, click.Command]]:
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        if isinstance(command, click.Group):
            yield from commands(command, *words, name)
        else:
            yield " ".join([*words, name]), command


OPTIONS = [
    (name, option)
    for name, command in commands(gatekeeper)
    for parameter in command.params
    if isinstance(parameter, click.Option) and not parameter.is_flag
    for option in parameter.opts
]
OF_KEYS = [(command, option) for command, option in OPTIONS if command.split()[-1] in ("create", "edit")]
OTHERS = [given for given in OPTIONS if given not in OF_KEYS]


def given(option: str) -> list[list[str]]:
    """Each way to write it."""
    return [[option, ""], [f"{option}="]] if option.startswith("--") else [[option, ""]]


@cases(("command", "option"), OTHERS)
def test_an_empty_option_is_refused_by_its_name(cli: Any, command: str, option: str) -> None:
    for words in given(option):
        ended = cli(*command.split(), *ARGUMENTS.get(command, []), *words)
        assert (ended.status, ended.out) == (2, "")
        assert ended.err == f"gatekeeper: {option} is empty: give it a value, or leave it out.\n"


@cases(
    "words", [["calls", "show", ""], ["sql", ""], ["prices", "show", ""], ["keys", "block", "ci", ""], [""]]
)
def test_and_so_is_an_empty_argument(cli: Any, words: list[str]) -> None:
    ended = cli(*words)
    assert (ended.status, ended.out) == (2, "")
    assert "an argument is empty" in ended.err


@cases(("command", "option"), OF_KEYS)
def test_with_keys_it_is_no_fault_of_ours(on: Any, gateway: Any, command: str, option: str) -> None:
    gateway.answers = defaultdict(dict)
    arguments = [] if command == "keys create" else ["NAME"]
    for words in given(option):
        assert on(*command.split(), *arguments, *words).status != 1
