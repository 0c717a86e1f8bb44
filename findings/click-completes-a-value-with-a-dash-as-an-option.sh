#!/usr/bin/env bash
# Click 8.5.1 parses a value that begins with a dash, and completes it as if it were an option.
#
# `search --filter -tag:ci` gives the option the value `-tag:ci`, as getopt does. While that is typed, the command
# asks its options, and not the option's own `shell_complete`, for what may follow: for values with a leading dash
# (negated terms, negative numbers) there is no completion, unless one takes the dash off before asking Click.
#
# Output, and exit status 0 where that is so, 1 where Click does otherwise:
#   8.5.1 parsed: -tag:ci
#   8.5.1 completions of ta: ['tag:']
#   8.5.1 completions of -ta: []
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cat >"$folder/look.py" <<'PYTHON'
from importlib.metadata import version

import click
from click.shell_completion import CompletionItem, ShellComplete


def terms(context, parameter, typed):
    minus = "-" if typed.startswith("-") else ""
    return [CompletionItem(f"{minus}tag:")]


@click.command()
@click.option("--filter", "text", shell_complete=terms)
def search(text):
    print(version("click"), "parsed:", text)


search.main(["--filter", "-tag:ci"], standalone_mode=False)
for typed in ("ta", "-ta"):
    found = ShellComplete(search, {}, "search", "").get_completions(["--filter"], typed)
    print(version("click"), f"completions of {typed}:", [item.value for item in found])
PYTHON
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q click==8.5.1
"$folder/venv/bin/python" "$folder/look.py" | tee "$folder/seen"
sed -n 's/^#   \(8\.5\.1 .*\)/\1/p' "$0" | diff - "$folder/seen"
