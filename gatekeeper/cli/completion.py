"""Shell completion: the scripts for bash, zsh and fish, and the responses to them.

A script runs `gatekeeper` itself, with `_GATEKEEPER_COMPLETE` in the environment and what has been typed as
arguments:

- bash gives the line up to the cursor as one argument, because its own words are split at `:` and `=`;
- zsh and fish give the words up to the cursor, without their quotes.

The first line of the response is its kind: `words` follow, one a line, for zsh and fish with their meaning
behind a tab; or `files` of the current folder are meant. On any error there are no completions, and nothing
is printed.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

import click

from gatekeeper.cli.conventions import OneOf, examples

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

SHELLS = ("bash", "zsh", "fish")
QUERY = ("--query", "-q")
UNSAFE = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")

# bash 3.2, which macOS has, lacks `compopt`, and then offers no files.
BASH = """\
_gatekeeper() {
    local line reply=()
    while IFS= read -r line; do reply+=("$line"); done < <(
        _GATEKEEPER_COMPLETE=bash "$1" "${COMP_LINE:0:COMP_POINT}" "$COMP_WORDBREAKS" 2>/dev/null)
    COMPREPLY=("${reply[@]:1}")
    if [[ ${reply[0]-} == files ]]; then
        compopt -o default 2>/dev/null
    elif [[ ${COMPREPLY[0]-} == *[:=,] ]]; then
        compopt -o nospace 2>/dev/null
    fi
}
complete -F _gatekeeper gatekeeper
"""
ZSH = """\
#compdef gatekeeper
_gatekeeper() {
    local -a reply values meanings parts part_meanings
    local line value meaning
    reply=("${(@f)$(_GATEKEEPER_COMPLETE=zsh ${words[1]} "${(@Q)words[2,CURRENT]}" 2>/dev/null)}")
    if [[ $reply[1] == files ]]; then
        _files
        return
    fi
    for line in "${(@)reply[2,-1]}"; do
        value=${line%%$'\\t'*} meaning=${line#*$'\\t'}
        meaning=${meaning:+$value  -- $meaning}
        if [[ $value == *[:=,] ]]; then
            parts+=("$value") part_meanings+=("${meaning:-$value}")
        else
            values+=("$value") meanings+=("${meaning:-$value}")
        fi
    done
    (( $#values )) && compadd -l -d meanings -a values
    (( $#parts )) && compadd -S '' -l -d part_meanings -a parts
}
if [[ $zsh_eval_context[-1] == loadautofunc ]]; then
    _gatekeeper "$@"
else
    compdef _gatekeeper gatekeeper
fi
"""
FISH = """\
function __gatekeeper_complete
    set -l typed (commandline -opc) (commandline -ct)
    set -l reply (_GATEKEEPER_COMPLETE=fish $typed[1] $typed[2..-1] 2>/dev/null)
    if test "$reply[1]" = files
        __fish_complete_path (commandline -ct)
    else if set -q reply[2]
        printf '%s\\n' $reply[2..-1]
    end
end
complete -c gatekeeper -f -a '(__gatekeeper_complete)'
"""
SCRIPTS = {"bash": BASH, "zsh": ZSH, "fish": FISH}

# Of those at which bash breaks words, the ones that occur in words of ours.
BREAKS = ":="
# What bash would not take as it is, without quotes.
SPECIAL = re.compile(r"[^\w@%+:=,./^-]")
IN_DOUBLE_QUOTES = re.compile(r'[$`"\\]')


@click.command(
    "completion",
    epilog=examples(
        "completion bash >> ~/.bashrc",
        "completion zsh > ~/.zsh/completions/_gatekeeper  # a folder of $fpath",
        "completion fish > ~/.config/fish/completions/gatekeeper.fish",
    ),
)
@click.argument("shell", type=OneOf(SHELLS))
def completion(shell: str) -> None:
    """Print the script that completes `gatekeeper` in bash, zsh or fish.

    It completes commands, options and choices; of a gateway that answers at once also names of keys, groups
    and users, models, tags, ids of calls, and the terms of --query.
    """
    click.echo(SCRIPTS[shell], nl=False)


def respond(root: click.Group, shell: str, args: Sequence[str]) -> str:
    """The response to a script; empty if there is nothing to complete, and on any error."""
    try:
        return bash_response(root, *args) if shell == "bash" else words_response(root, args)
    except Exception:  # noqa: BLE001 - in the middle of somebody's line no error can be told
        return ""


def bash_response(root: click.Group, line: str, breaks: str = " :=") -> str:
    """What bash puts in place of its own last word, quoted as that is."""
    from gatekeeper.cli.completion import split_line

    words, last = split_line(line)
    # Before the program's name there may be variables.
    start = next(place for place, word in enumerate(words) if word.rpartition("/")[2] == "gatekeeper")
    items = completions(root, words[start + 1 :], last.text)
    if is_files(items):
        return "files\n"
    values = [last.replacement(value, breaks) for value in items]
    if last.quote and len(values) == 1 and values[0].endswith(":"):
        # A single word would get the closing quote, and no value could follow.
        values.append(f"{values[0]}…")
    return "\n".join(["words", *values, ""])


def words_response(root: click.Group, args: Sequence[str]) -> str:
    *before, last = args or [""]
    # A quote that is still open stays with the word in zsh.
    opened = last[:1] in ("'", '"') and last.count(last[0]) % 2
    items = completions(root, before, last[1:] if opened else last)
    if is_files(items):
        return "files\n"
    return "\n".join(["words", *(f"{value}\t{item.help or ''}" for value, item in items.items()), ""])


def is_files(items: Mapping[str, CompletionItem[str]]) -> bool:
    return any(item.type in ("file", "dir") for item in items.values())


def completions(root: click.Group, before: Sequence[str], last: str) -> dict[str, CompletionItem[str]]:
    """The words that may stand in place of `last`, by what they are as a whole."""
    from click.shell_completion import ShellComplete

    # click's own, of no shell: what it finds is used, and nothing of what it prints.
    shell = ShellComplete(root, {}, "gatekeeper", "")
    option, equals, value = last.partition("=")
    joined = bool(equals) and option.startswith("--")
    # The option and its value are two words to click.
    before, last, prefix = ([*before, option], value, f"{option}=") if joined else (before, last, "")
    if before and before[-1] in QUERY and last.startswith("-"):
        # Click would take a term that is negated for an option.
        last, prefix = last[1:], f"{prefix}-"
    found = shell.get_completions([*before], last)
    return {prefix + item.value: item for item in found if is_safe(item, after_dashes="--" in before)}


def is_safe(item: CompletionItem[str], *, after_dashes: bool) -> bool:
    """Whether a value from the gateway can be a completion: it has no line break or control character, and
    would not be taken for an option."""
    is_option = item.is_argument and item.value.startswith("-") and not after_dashes
    return not (is_option or UNSAFE.search(item.value))


class LastWord(NamedTuple):
    """The word at the cursor, without its quotes. `quote` is the one that is open there, behind `before`
    characters of it."""

    text: str
    quote: str = ""
    before: int = 0

    def replacement(self, value: str, breaks: str) -> str:
        """What bash is to put in the word's place so that it becomes `value`: with an open quote all behind
        that, otherwise all behind the last of its word breaks."""
        if self.quote == "'":
            return value[self.before :].replace("'", r"'\''")
        if self.quote == '"':
            return IN_DOUBLE_QUOTES.sub(r"\\\g<0>", value[self.before :])
        last_break = max((self.text.rfind(each) for each in BREAKS if each in breaks), default=-1)
        return SPECIAL.sub(r"\\\g<0>", value[last_break + 1 :])


def split_line(line: str) -> tuple[list[str], LastWord]:
    """The words before the cursor, and the one at it."""
    words: list[str] = []
    text, quote, begun, before = "", "", False, 0
    characters = iter(line)
    for each in characters:
        if quote == "'" or (quote and each == quote):
            quote, text = ("", text) if each == quote else (quote, text + each)
        elif each == "\\":
            text, begun = text + next(characters, ""), True
        elif each in "\"'" and not quote:
            quote, before, begun = each, len(text), True
        elif each in " \t\n" and not quote:
            if begun:
                words.append(text)
            text, begun = "", False
        else:
            text, begun = text + each, True
    return words, LastWord(text, quote, before if quote else 0)
