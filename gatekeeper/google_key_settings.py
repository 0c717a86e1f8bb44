"""The tables `[[google_keys]]` of the settings file."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import cast

from gatekeeper.google_key import GoogleKey, GoogleKeyError, read_google_key


def read_tables(name: str, value: object, environ: Mapping[str, str], folder: Path) -> tuple[GoogleKey, ...]:
    """The keys of the setting `name`. Relative paths of secrets start at `folder`. Raises GoogleKeyError,
    whose member is the place in the file."""
    tables = cast("list[object]", value) if isinstance(value, list) else []
    if not tables or not all(isinstance(table, dict) for table in tables):
        raise GoogleKeyError(name, "the value", f"tables, each under [[{name}]]")
    members = secret_members(environ, folder)
    keys: list[GoogleKey] = []
    for number, table in enumerate(cast("list[dict[str, object]]", tables), 1):
        try:
            keys.append(read_google_key(table, members))
        except GoogleKeyError as error:
            raise GoogleKeyError(f"{name}[{number}].{error.member}", error.shown, error.allowed) from None
    for number, key in enumerate(keys, 1):
        _check_duplicates(f"{name}[{number}]", key, keys)
    return tuple(keys)


def _check_duplicates(place: str, key: GoogleKey, keys: list[GoogleKey]) -> None:
    if Counter(other.label for other in keys)[key.label] > 1:
        raise GoogleKeyError(f"{place}.label", repr(key.label), "a label that no other table has")
    if Counter(other.secret for other in keys)[key.secret] > 1:
        raise GoogleKeyError(f"{place}.key", "the secret", "a secret that no other table has")


def secret_members(environ: Mapping[str, str], folder: Path) -> dict[str, Callable[[str], str]]:
    """The members by which a table gives its secret: itself, or where it is, so that the file needs none."""

    def of_environment(variable: str) -> str:
        if secret := environ.get(variable, "").strip():
            return secret
        raise ValueError("the name of an environment variable that is set")

    def of_file(path: str) -> str:
        try:
            return (folder / path).read_text(encoding="utf-8").strip()
        except (OSError, ValueError) as error:
            # UnicodeDecodeError, the only ValueError here, has none.
            why = getattr(error, "strerror", None) or "it is not UTF-8"
            raise ValueError(f"the path of a file that can be read ({why})") from None

    return {"key": str, "key_env": of_environment, "key_file": of_file}
