"""Settings on the command line: flags made from the table of settings, and settings loaded with them."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeVar

import click

from gatekeeper.cli.failure import Failure, Status
from gatekeeper.settings import DEFAULT_FILE, SETTINGS, Setting, SettingError, Settings, load

T = TypeVar("T")

FLAGS = ("host", "port", "data", "upstream", "sandbox")


def setting_flags(*names: str) -> Callable[[Callable[..., T]], Callable[..., T]]:
    """Adds a flag for each of these settings, as text or None: what is allowed, the settings know. And
    `--config`, which the command gets as `config`."""

    def add(command: Callable[..., T]) -> Callable[..., T]:
        command = click.option(
            "--config",
            type=click.Path(path_type=Path),
            metavar="FILE",
            help=f"Settings in TOML.  [default: {DEFAULT_FILE}, if there is one]",
        )(command)
        for setting in reversed([setting for setting in SETTINGS if setting.name in names]):
            command = _flag(setting)(command)
        return command

    return add


def _flag(setting: Setting) -> Callable[[Callable[..., T]], Callable[..., T]]:
    meaning = setting.meaning[0].upper() + setting.meaning[1:]
    if setting.name == "sandbox":
        return click.option("--sandbox", is_flag=True, default=None, help=f"{meaning}.")
    described = f"{meaning}.  [env: {setting.environment[0]}; default: {setting.default}]"
    return click.option(f"--{setting.name}", metavar=setting.name.upper(), help=described)


def loaded(flags: Mapping[str, object], config: Path | None) -> Settings:
    """The settings in force. Raises Failure where one does not do."""
    try:
        return load(flags, os.environ, config)
    except SettingError as error:
        raise Failure(str(error), Status.USAGE) from None


def variables() -> str:
    """The settings that have no flag: their variables and what they mean, for `--help`."""
    rows = [(" ".join(s.environment), s.meaning) for s in SETTINGS if s.name not in FLAGS]
    width = max(len(names) for names, _ in rows)
    return "\n".join(f"  {names:<{width}}  {meaning}" for names, meaning in rows)
