"""A settings file as `gatekeeper init` writes it."""

from __future__ import annotations

import json
from collections.abc import Mapping

from gatekeeper.setting_definitions import SETTINGS, Setting

HEAD = """\
# Settings of the gateway, written by `gatekeeper init`. Flags and environment variables win over this file.
# `gatekeeper config` prints all settings, where each came from, and what it means.
"""
PLAIN = ("port", "sandbox")
# They are shown as comments where they are defaults.
SHOWN = ("host", "port", "data", "upstream", "timezone")


def settings_text(given: Mapping[str, str]) -> str:
    """TOML, with the meaning of each setting; defaults that one may want to change are comments."""
    return "\n".join([HEAD, *(_entry(each, given) for each in SETTINGS if each.name in {*given, *SHOWN})])


def _entry(setting: Setting, given: Mapping[str, str]) -> str:
    comment = f"# {setting.meaning[0].upper()}{setting.meaning[1:]}."
    if setting.name in given:
        return f"{comment}\n{setting.name} = {_value(setting, given[setting.name])}\n"
    return f"{comment}\n# {setting.name} = {_value(setting, setting.default or '')}\n"


def _value(setting: Setting, text: str) -> str:
    """A number or a switch as such, everything else as a string: JSON's strings are TOML's."""
    if setting.name in PLAIN and text.isascii() and text.isalnum():
        return text.lower()
    # JSON leaves DEL as it is, which TOML does not allow.
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
