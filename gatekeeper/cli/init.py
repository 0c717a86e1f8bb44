"""`gatekeeper init`: writes a settings file, from questions on a terminal or from flags alone.

Secrets are read from the environment, a hidden prompt or stdin, never from the command line, which shells
keep in their history; none is printed. The file is private and complete at once, or not there at all.
"""

from __future__ import annotations

import json
import os
import secrets
import shlex
import sys
from collections.abc import Mapping
from pathlib import Path

import click

from gatekeeper.cli.conventions import CommandError, ExitStatus, examples, setting_options
from gatekeeper.cli.deadline import ProbeError
from gatekeeper.cli.output import print_cells, print_note, print_warning
from gatekeeper.cli.probes import key_refusal
from gatekeeper.client.columns import TextRole
from gatekeeper.setting_definitions import SETTINGS, Setting
from gatekeeper.setting_parsers import GOOGLE_API_URL
from gatekeeper.settings import DEFAULT_FILE, SettingError, load, parse_setting

# Prints the master key of a settings file.
KEY_OF_FILE = r"""sed -n 's/^master_key = "\(.*\)"$/\1/p'"""
FLAGS = ("host", "port", "data", "upstream", "sandbox")
GOOGLE_KEY, MASTER_KEY = "gemini_api_key", "master_key"
NO_KEY = (
    "there is no Google key: set GEMINI_API_KEY (https://aistudio.google.com/apikey), give it on stdin with "
    "--google-key-stdin, or try it without one: --sandbox"
)
BY_NAME = {setting.name: setting for setting in SETTINGS}
# With what each question is asked.
QUESTIONS = {"host": "Address to listen on", "port": "Port", "data": "Data folder"}

FILE_HEAD = """\
# Settings of the gateway, written by `gatekeeper init`. Flags and environment variables win over this file.
# `gatekeeper config` prints all settings, where each came from, and what it means.
"""
NOT_STRINGS = ("port", "sandbox")
# They are shown as comments where they are defaults.
SHOWN_DEFAULTS = ("host", "port", "data", "upstream", "timezone")


@click.command(
    "init",
    epilog=examples(
        "init",
        "init --sandbox --open",
        "init --config /etc/gatekeeper.toml --data /var/lib/gatekeeper --force --no-check",
        "init --google-key-stdin < key.txt  # without a terminal, or with GEMINI_API_KEY set",
    ),
)
@setting_options(*FLAGS)
@click.option("--google-key-stdin", is_flag=True, help="Read the Google key from stdin.")
@click.option("--open", "open_mode", is_flag=True, help="No master key: open mode, for this machine only.")
@click.option("--no-check", is_flag=True, help="Do not ask Google whether it accepts the key.")
@click.option("--force", is_flag=True, help="Replace the file if it is there.")
@click.option(
    "--config",
    type=click.Path(path_type=Path),
    default=DEFAULT_FILE,
    metavar="FILE",
    show_default=True,
    help="The file to write.",
)
def init(
    config: Path,
    google_key_stdin: bool,
    open_mode: bool,
    no_check: bool,
    force: bool,
    **flags: object,
) -> None:
    """Write gatekeeper.toml: settings, the Google key, and a new master key.

    On a terminal it asks for what no flag says. The Google key is taken from GEMINI_API_KEY, a hidden prompt
    or stdin, and Google is asked whether it accepts it. Only you can read the file (0600).
    """
    # Not `exists`, which raises PermissionError for a folder that may not be looked into (Python 3.11).
    if os.access(config, os.F_OK) and not config.is_file():
        raise CommandError(f"{config} is no file: give the path of one by --config", ExitStatus.REJECTED)
    if not force and os.access(config, os.F_OK):
        raise CommandError(f"{config} is there already: --force replaces it", ExitStatus.REJECTED)
    given = found(flags, google_key_stdin)
    if sys.stdin.isatty() and sys.stderr.isatty():
        given, open_mode = ask_questions(given, open_mode)
    if open_mode:
        given.pop(MASTER_KEY, None)
    else:
        given.setdefault(MASTER_KEY, new_master_key())
    if GOOGLE_KEY not in given and "sandbox" not in given:
        raise CommandError(NO_KEY, ExitStatus.USAGE)
    if GOOGLE_KEY in given and not no_check:
        check_google_key(given.get("upstream", GOOGLE_API_URL), given[GOOGLE_KEY])
    write(config, given)
    print_next(config, given)


def new_master_key() -> str:
    # Imported here: `--help` does without what the keys import.
    from gatekeeper.keys.secrets import new_secret

    return new_secret()


def found(flags: Mapping[str, object], google_key_stdin: bool) -> dict[str, str]:
    """The settings given by flags, environment and stdin. Raises CommandError, which names the source, for
    one that `serve` would reject."""
    given = {name: (str(value), f"--{name}") for name, value in flags.items() if value is not None}
    if not flags.get("sandbox"):
        given[GOOGLE_KEY] = (
            (sys.stdin.readline().strip(), "--google-key-stdin")
            if google_key_stdin
            else variable("GEMINI_API_KEY", "GOOGLE_API_KEY")
        )
    given[MASTER_KEY] = variable("GATEKEEPER_MASTER_KEY")
    settings = {setting.name: setting for setting in SETTINGS}
    try:
        for name, (text, source) in given.items():
            if text:
                parse_setting(settings[name], text, source)
    except SettingError as error:
        raise CommandError(str(error), ExitStatus.USAGE) from None
    return {name: text for name, (text, _) in given.items() if text}


def variable(*names: str) -> tuple[str, str]:
    """The first of these variables that is set, and its name; empty if none is."""
    values = ((os.environ.get(name, "").strip(), name) for name in names)
    return next((value for value in values if value[0]), ("", ""))


def check_google_key(upstream: str, keys: str) -> None:
    """Checks each key at the upstream. Raises CommandError if one is refused, but not if the upstream is
    unreachable."""
    for number, key in enumerate(keys.split(","), 1):
        which = f"the Google key (number {number})" if "," in keys else "the Google key"
        try:
            refused = key_refusal(upstream, key.strip())
        except ProbeError as error:
            print_warning(
                f"Whether Google accepts {which} is not known: {upstream} cannot be asked ({error})"
            )
            return
        if refused:
            raise CommandError(
                f"{upstream} refuses {which}: {refused.rstrip('.')}. Nothing was written (--no-check does)",
                ExitStatus.REJECTED,
            )
    print_note("Google accepts the key.")


def write(file: Path, given: Mapping[str, str]) -> None:
    """Raises CommandError for settings that `serve` would not take."""
    # A link stays, and what it leads to is replaced.
    target = Path(os.path.realpath(file))
    draft = target.with_name(f".{target.name}.{secrets.token_hex(4)}")
    try:
        # Private from the first byte on.
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            with os.fdopen(descriptor, "w", encoding="utf-8") as opened:
                opened.write(settings_text(given))
            load({}, {}, draft)
            draft.replace(target)
        finally:
            draft.unlink(missing_ok=True)
    except SettingError as error:
        raise CommandError(str(error).replace(str(draft), str(file)), ExitStatus.USAGE) from None
    except OSError as error:
        raise CommandError(f"{file} cannot be written: {error.strerror}", ExitStatus.REJECTED) from None


def print_next(file: Path, given: Mapping[str, str]) -> None:
    """Prints what was written, and which command to run next."""
    names = [setting.name for setting in SETTINGS if setting.name in given]
    print_cells([(f"wrote {file} (0600): ", TextRole.PLAIN), (", ".join(names), TextRole.ACCENT)])
    option = "" if str(file) == DEFAULT_FILE else f" --config {shlex.quote(str(file))}"
    print_cells([("run next", TextRole.DIM)])
    print(f"  gatekeeper serve{option}")
    print_cells([("in another terminal", TextRole.DIM)])
    if MASTER_KEY in given and not os.environ.get("GATEKEEPER_MASTER_KEY"):
        print(f'  export GATEKEEPER_MASTER_KEY="$({KEY_OF_FILE} {shlex.quote(str(file))})"')
    where = {"host": given.get("host", "127.0.0.1"), "port": given.get("port", "4000")}
    if where != {"host": "127.0.0.1", "port": "4000"}:
        print(f"  export GATEKEEPER_URL={url_of(where['host'], int(where['port']))}")
    if MASTER_KEY in given:
        print("  gatekeeper keys create --alias me --max-budget 10 --budget-duration 1mo")
    print("  gatekeeper tui")


def url_of(host: str, port: int) -> str:
    from gatekeeper.addresses import WILDCARD_HOSTS, local_url

    return local_url(WILDCARD_HOSTS.get(host, host), port, "http")


def ask_questions(given: Mapping[str, str], open_mode: bool) -> tuple[dict[str, str], bool]:
    """Asks, on stderr, for the settings that no flag gives. Returns the given ones with the answers, and
    whether the mode is open: no master key."""
    answers = dict(given)
    if not answers.keys() & {"gemini_api_key", "sandbox"}:
        if key := ask_google_key():
            answers["gemini_api_key"] = key
        else:
            answers["sandbox"] = "true"
    for name, question in QUESTIONS.items():
        if name not in answers:
            default = "./data-sandbox" if name == "data" and "sandbox" in answers else BY_NAME[name].default
            answer = ask(name, question, default or "")
            # A default is not written: it would stay as it is now, whatever a later version has.
            if answer != default:
                answers[name] = answer
    if not open_mode and "master_key" not in answers:
        question = "Make a master key? Without one any client key is accepted, from this machine only"
        open_mode = not click.confirm(question, default=True, err=True)
    return answers, open_mode


def ask_google_key() -> str:
    """Hidden; empty for none."""

    def checked(text: str) -> str:
        return valid("gemini_api_key", text) if text else ""

    question = "Google API key (hidden; https://aistudio.google.com/apikey), or enter for the simulated API"
    return click.prompt(
        question, default="", hide_input=True, show_default=False, value_proc=checked, err=True
    )


def ask(name: str, question: str, default: str) -> str:
    return click.prompt(question, default=default, value_proc=lambda text: valid(name, text), err=True)


def valid(name: str, text: str) -> str:
    """Raises UsageError, after which click asks again."""
    try:
        BY_NAME[name].parse(text)
    except ValueError as allowed:
        raise click.UsageError(f"it takes {allowed}") from None
    return text


def settings_text(given: Mapping[str, str]) -> str:
    """As TOML, with the meaning of each setting; defaults that one may want to change are comments."""
    shown = [entry_text(each, given) for each in SETTINGS if each.name in {*given, *SHOWN_DEFAULTS}]
    return "\n".join([FILE_HEAD, *shown])


def entry_text(setting: Setting, given: Mapping[str, str]) -> str:
    comment = f"# {setting.meaning[0].upper()}{setting.meaning[1:]}."
    if setting.name in given:
        return f"{comment}\n{setting.name} = {toml_value(setting, given[setting.name])}\n"
    return f"{comment}\n# {setting.name} = {toml_value(setting, setting.default or '')}\n"


def toml_value(setting: Setting, text: str) -> str:
    """A number or a switch as such, everything else as a string: JSON's strings are TOML's."""
    if setting.name in NOT_STRINGS and text.isascii() and text.isalnum():
        return text.lower()
    # JSON leaves DEL as it is, which TOML does not allow.
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
