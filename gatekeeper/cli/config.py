"""`gatekeeper config`: the settings in force."""

from __future__ import annotations

from pathlib import Path

import click
import msgspec

from gatekeeper.cli.flags import FLAGS, loaded, setting_flags
from gatekeeper.cli.help import examples
from gatekeeper.cli.output import emit, own_json_option, print_table
from gatekeeper.client.formats import Column, Tone
from gatekeeper.settings import SETTINGS, Setting, Settings, masked


@click.command("config", epilog=examples("config", "config --config /etc/gatekeeper.toml --json"))
@own_json_option
@setting_flags(*FLAGS)
def command(config: Path | None, as_json: bool, **flags: object) -> None:
    """Print every setting in force and where it came from, as `serve` would see them here.

    Of a secret only the end is shown.
    """
    settings = loaded(flags, config)
    if as_json:
        emit(msgspec.json.encode({"settings": document(settings)}))
    else:
        print_table(columns(settings), SETTINGS)


def document(settings: Settings) -> dict[str, dict[str, object]]:
    """By name; numbers and switches as such, all else as text, null where one is not set."""
    plain = {name: value for name, value in vars(settings).items() if isinstance(value, bool | int | float)}
    return {
        setting.name: {
            "value": plain.get(setting.name, shown(settings, setting)),
            "source": settings.sources[setting.name],
            "meaning": setting.meaning,
        }
        for setting in SETTINGS
    }


def shown(settings: Settings, setting: Setting) -> str | None:
    return masked(setting, getattr(settings, setting.name))


def columns(settings: Settings) -> list[Column[Setting]]:
    return [
        Column("setting", 0, lambda setting: (setting.name, Tone.PLAIN)),
        Column("value", 0, lambda setting: (shown(settings, setting) or "not set", Tone.ACCENT)),
        Column("from", 0, lambda setting: (settings.sources[setting.name], Tone.PLAIN)),
        Column("meaning", 0, lambda setting: (setting.meaning, Tone.FAINT)),
    ]
