"""Whose money a data folder counts: Google's, or the sandbox's, which is none. The two never mix.

A gateway marks its folder before it writes anything else there, and the key database where that lies
elsewhere. A folder or database without a mark is empty, or from before there were marks: then it counts as
Google's, because what is real must not be mixed with play by mistake.
"""

from __future__ import annotations

import os
from pathlib import Path

from gatekeeper.settings import Settings

NAME = "gatekeeper.kind"
GOOGLE, SANDBOX = "google", "sandbox"
CONTENTS = ("keys.sqlite", "journal", "gatekeeper.duckdb")


def kind(settings: Settings) -> str:
    return SANDBOX if settings.sandbox else GOOGLE


def places(settings: Settings) -> dict[Path, Path]:
    """The data folder, and the key database if it is elsewhere; each with the file that marks it."""
    found = {settings.data: settings.data / NAME}
    if settings.keys_file.parent != settings.data:
        found[settings.keys_file] = settings.keys_file.with_name(f"{settings.keys_file.name}.kind")
    return found


def kind_of(place: Path, mark: Path) -> str | None:
    """None for what is empty or not there. Raises OSError."""
    contents = [place / name for name in CONTENTS] if place.is_dir() else [place]
    return (_told(mark) or GOOGLE) if any(path.exists() for path in contents) else None


def leave_marks(settings: Settings) -> None:
    """On disk when it returns. Raises OSError."""
    for mark in places(settings).values():
        if _told(mark) != kind(settings):
            with open(os.open(mark, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:  # noqa: PTH123
                file.write(f"{kind(settings)}\n")
                file.flush()
                os.fsync(file.fileno())


def _told(mark: Path) -> str:
    return mark.read_text(encoding="utf-8", errors="replace").strip() if mark.exists() else ""
