"""One of the gateway's own Google keys, as a table of the settings file or the admin API describes it."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple, cast

MAX_WEIGHT = 1000
MAX_PER_MINUTE = 10**12
LABEL = re.compile(r"[A-Za-z0-9][\w.-]{0,63}", re.ASCII)
GLOB = re.compile(r"[\w.*?@/-]{1,128}", re.ASCII)
SECRET = re.compile(r"[!-~]{1,512}")


@dataclass(frozen=True, kw_only=True)
class GoogleKey:
    """`project` is the Google project that it belongs to: quotas, resources and free searches are the
    project's. `weight` is its share of the calls; `models` are globs of the models that it is used for (none:
    all); `rpm` and `tpm` are requests and input tokens a minute from which on others are preferred."""

    label: str
    secret: str = field(repr=False)
    project: str
    weight: float = 1.0
    models: tuple[str, ...] = ()
    rpm: int | None = None
    tpm: int | None = None


SANDBOX_KEY = GoogleKey(label="#1", secret="sandbox", project="#1")  # noqa: S106
"""Where none is set: the sandbox accepts any. Its secret is none, and a word."""


class GoogleKeyError(ValueError):
    """A member of such a table that is not as it should be. `shown` is its value, without a secret."""

    def __init__(self, member: str, shown: str, allowed: str) -> None:
        super().__init__(f"{member}: {shown} is not allowed; it takes {allowed}")
        self.member = member
        self.shown = shown
        self.allowed = allowed


def numbered(secrets: tuple[str, ...]) -> tuple[GoogleKey, ...]:
    """Keys of which only the secrets are known: `#1`, `#2`, …, each of a project of its own."""
    return tuple(
        GoogleKey(label=f"#{number}", secret=secret, project=f"#{number}")
        for number, secret in enumerate(secrets, 1)
    )


class Member(NamedTuple):
    """`read` raises ValueError for a value that is not what `allowed` says."""

    read: Callable[[object], object]
    allowed: str


def read_google_key(
    table: Mapping[str, object], secret_members: Mapping[str, Callable[[str], str]]
) -> GoogleKey:
    """The key that a table describes. `secret_members` are those that may give its secret, each with what
    makes the secret of their text and raises ValueError. Raises GoogleKeyError."""
    names = ["label", *secret_members, *MEMBERS]
    for name in table:
        if name not in names:
            raise GoogleKeyError(name, "this member", f"nothing: there are {', '.join(names)}")
    label = _text(table, "label", LABEL, "1 to 64 letters, digits, `_`, `.` and `-`")
    given: dict[str, object] = {"project": label}
    for name, member in MEMBERS.items():
        if name in table:
            given[name] = _read(name, table[name], member)
    secret = _secret(table, secret_members)
    # They are shown everywhere.
    if label == secret or given["project"] == secret:
        raise GoogleKeyError("label" if label == secret else "project", "the secret", "what may be shown")
    return GoogleKey(label=label, secret=secret, **given)  # pyright: ignore[reportArgumentType]  by MEMBERS


def _read(name: str, value: object, member: Member) -> object:
    try:
        return member.read(value)
    except ValueError:
        raise GoogleKeyError(name, repr(value)[:100], member.allowed) from None


def _text(table: Mapping[str, object], name: str, pattern: re.Pattern[str], allowed: str) -> str:
    value = table.get(name)
    if not (isinstance(value, str) and pattern.fullmatch(value)):
        raise GoogleKeyError(name, repr(value)[:100] if name in table else "nothing", allowed)
    return value


def _secret(table: Mapping[str, object], members: Mapping[str, Callable[[str], str]]) -> str:
    given = [name for name in members if name in table]
    if len(given) != 1:
        either = " or ".join(f"`{name}`" for name in members)
        raise GoogleKeyError(
            next(iter(members)), " and ".join(given) or "nothing", f"one secret, by {either}"
        )
    (name,) = given
    value = table[name]
    if not isinstance(value, str) or not value:
        raise GoogleKeyError(name, "the value", "a text")
    try:
        secret = members[name](value)
    except ValueError as why:
        raise GoogleKeyError(name, repr(value)[:100], str(why)) from None
    if not SECRET.fullmatch(secret):
        # Not shown: a mistyped secret still contains most of it.
        raise GoogleKeyError(name, "the secret", "printable ASCII characters without spaces")
    return secret


def _project(value: object) -> str:
    if not (isinstance(value, str) and LABEL.fullmatch(value)):
        raise ValueError
    return value


def _weight(value: object) -> float:
    # True is an int to isinstance.
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value <= MAX_WEIGHT:
        raise ValueError
    return float(value)


def _models(value: object) -> tuple[str, ...]:
    items = cast("list[object]", value) if isinstance(value, list) else [None]
    globs = [item.removeprefix("models/") for item in items if isinstance(item, str) and GLOB.fullmatch(item)]
    if not globs or len(globs) != len(items):
        raise ValueError
    return tuple(globs)


def _per_minute(value: object) -> int:
    # `type`, because True is an int to isinstance.
    if type(value) is not int or not 0 < value <= MAX_PER_MINUTE:
        raise ValueError
    return value


MEMBERS: dict[str, Member] = {
    "project": Member(_project, "the name of a Google project: 1 to 64 letters, digits, `_`, `.` and `-`"),
    "weight": Member(_weight, f"a number above 0, at most {MAX_WEIGHT}"),
    "models": Member(_models, 'a list of globs of model ids, such as ["gemini-2.5-*"]'),
    "rpm": Member(_per_minute, "a whole number of requests a minute, at least 1"),
    "tpm": Member(_per_minute, "a whole number of input tokens a minute, at least 1"),
}


def read_key_tables(
    name: str, value: object, environ: Mapping[str, str], folder: Path
) -> tuple[GoogleKey, ...]:
    """The keys of the setting `name`, the tables `[[google_keys]]`. Relative paths of secrets start at
    `folder`. Raises GoogleKeyError, whose member is the place in the file."""
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
