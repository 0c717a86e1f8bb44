"""`gatekeeper man`: the manual page, generated from the commands.

`docs/gatekeeper.1`, which the wheel installs where `man gatekeeper` finds it, is what this prints.
"""

from __future__ import annotations

import inspect
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence

import click

from gatekeeper import __version__
from gatekeeper.cli.conventions import HELP, ExitStatus, examples, variables_help
from gatekeeper.settings import DEFAULT_FILE, SETTINGS

# Options that many commands have: they are described once.
COMMON = ("url", "key", "as_json", "config")
STATUSES = {
    ExitStatus.OK: "It is done.",
    ExitStatus.INTERNAL_ERROR: "A fault of gatekeeper's own.",
    ExitStatus.USAGE: "The arguments or the settings are not allowed.",
    ExitStatus.UNREACHABLE: "The gateway cannot be reached.",
    ExitStatus.UNAUTHORIZED: "The key is missing, unknown, or may not do that.",
    ExitStatus.NOT_FOUND: "There is no such key, call or model.",
    ExitStatus.REJECTED: "It was refused: a conflict, or a value that is not allowed.",
    ExitStatus.CHECK_FAILED: "A check has found something.",
}
# In place of characters that not every terminal has.
PLAIN = {"…": "...", "→": "->", "≤": "<=", "≥": ">=", "×": "x"}


@click.command("man", epilog=examples("man", "man > gatekeeper.1"))
@click.pass_context
def man(context: click.Context) -> None:
    """Show the manual page, or print it as roff where there is no terminal."""
    page = man_page(context.find_root().command)
    if sys.stdout.isatty() and shutil.which("man"):
        # -l: a page that is no installed one; - is stdin.
        subprocess.run(["man", "-l", "-"], input=page.encode(), check=False)
    else:
        click.echo(page, nl=False)


def man_page(root: click.Command) -> str:
    """The page as roff with the macros `man`."""
    context = click.Context(root, info_name="gatekeeper", help_option_names=HELP)
    commands = [*all_commands(context)]
    lines = [
        f'.TH GATEKEEPER 1 "" "gatekeeper {__version__}" "User Commands"',
        # Neither blanks nor hyphens of its own in what may be copied.
        ".ad l",
        ".nh",
        ".SH NAME",
        "gatekeeper \\- a gateway for the Gemini API: virtual keys, an exact ledger, a terminal application",
        ".SH SYNOPSIS",
        ".B gatekeeper",
        ".I COMMAND",
        "[\\fIOPTIONS\\fR] [\\fIARGUMENTS\\fR]",
        ".SH DESCRIPTION",
        *paragraphs(root.help or ""),
        ".SH COMMON OPTIONS",
        *common_options(commands),
        ".SH COMMANDS",
        *(line for each in commands for line in section(each)),
        ".SH ENVIRONMENT",
        "Flags win over these, and these over the settings file; an empty variable counts as unset.",
        *(line for setting in SETTINGS if setting.environment for line in entry(
            ", ".join(setting.environment), setting.meaning, "B")),
        ".SH FILES",
        *entry(DEFAULT_FILE, "Settings in TOML, by the names that `gatekeeper config` prints.", "I"),
        *entry("data/", "Keys, journal, the analytics file, and prices.toml with prices of your own.", "I"),
        ".SH EXIT STATUS",
        *(line for status, meaning in STATUSES.items() for line in entry(str(int(status)), meaning, "B")),
    ]  # fmt: skip
    return "\n".join(lines) + "\n"


def common_options(commands: Sequence[click.Context]) -> Iterator[str]:
    """As the first command has each."""
    parameters = [(each, parameter) for each in commands for parameter in each.command.get_params(each)]
    for name in COMMON:
        context, parameter = next(found for found in parameters if found[1].name == name)
        yield from option(parameter, context)
    yield from entry(", ".join(HELP), "Show the help of a command, and exit.", "B")


def all_commands(context: click.Context) -> Iterator[click.Context]:
    """Those below a command, each before those below it."""
    group = context.command
    if isinstance(group, click.Group):
        for name in group.list_commands(context):
            if found := group.get_command(context, name):
                below = click.Context(found, parent=context, info_name=name)
                yield below
                yield from all_commands(below)


def section(context: click.Context) -> Iterator[str]:
    """One command."""
    command = context.command
    usage = " ".join(command.collect_usage_pieces(context))
    yield f".SS {quoted(f'{context.command_path} {usage}')}"
    yield from paragraphs(command.help or "")
    for parameter in command.get_params(context):
        told = parameter.name in COMMON or not {*HELP}.isdisjoint(parameter.opts)
        if isinstance(parameter, click.Option) and not told:
            yield from option(parameter, context)
    # The variables have a section of their own.
    yield from paragraphs((command.epilog or "").replace(variables_help(), "  see ENVIRONMENT"))


def option(parameter: click.Parameter, context: click.Context) -> Iterator[str]:
    if record := parameter.get_help_record(context):
        yield from entry(record[0], record[1], "B")


def entry(name: str, meaning: str, font: str) -> Iterator[str]:
    """A name, and what it means below it."""
    yield ".TP"
    yield f".{font} {quoted(name)}"
    yield escaped(meaning)


def paragraphs(text: str) -> Iterator[str]:
    """Those of a help text; one that begins with a backspace keeps its lines."""
    for paragraph in inspect.cleandoc(text).split("\n\n"):
        if paragraph.startswith("\b"):
            yield from (".PP", ".nf", *map(escaped, paragraph.splitlines()[1:]), ".fi")
        else:
            yield from (".PP", *map(escaped, paragraph.splitlines()))


def quoted(text: str) -> str:
    """One argument of a macro."""
    return '"' + escaped(text).replace('"', "\\(dq") + '"'


def escaped(text: str) -> str:
    """Text with roff's special characters escaped."""
    for character, plain in PLAIN.items():
        text = text.replace(character, plain)
    text = text.rstrip().replace("\\", "\\e").replace("-", "\\-").replace("'", "\\(aq").replace("`", "\\(ga")
    return f"\\&{text}" if text.startswith((".", "'", "\\(aq")) else text
