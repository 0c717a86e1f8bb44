"""The questions of `gatekeeper init`, on a terminal. They are asked on stderr, for what no flag says."""

from __future__ import annotations

from collections.abc import Mapping

import click

from gatekeeper.setting_definitions import SETTINGS

BY_NAME = {setting.name: setting for setting in SETTINGS}
# With what each question is asked.
QUESTIONS = {"host": "Address to listen on", "port": "Port", "data": "Data folder"}


def asked(given: Mapping[str, str], open_mode: bool) -> tuple[dict[str, str], bool]:
    """The given settings with the answers, and whether there is to be no master key."""
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
