"""Parsers of field values: they return the value in the record's type, and raise ValueError if it is not
allowed."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from enum import StrEnum
from ipaddress import IPv6Network, ip_network
from typing import cast

from gatekeeper.keys.globs import check_model_globs, check_route_globs
from gatekeeper.keys.litellm_fields import google_name, google_names, google_paths
from gatekeeper.keys.policies import SERVICE_TIERS
from gatekeeper.money import PICO, pico
from gatekeeper.times import parse_duration

ALIAS_LENGTH = 200  # characters; also of the names of groups and end users
TAGS, TAG_LENGTH = 64, 128  # the limits of a ledger row
GLOBS, GLOB_LENGTH = 1000, 500
METADATA_LENGTH = 16_384  # bytes of JSON
MAX_DOLLARS = 10**12
MAX_NETWORKS = 256

# The formats of ids and secrets, which an alias must not have.
RESERVED_ALIAS = re.compile(r"key_[0-9a-f]{16}|sk-[!-~]{13,}")
SECRET = re.compile(r"[!-~]{16,}")
DECIMAL = re.compile(r"[0-9]+(\.[0-9]+)?")


def text(value: object) -> str:
    if not isinstance(value, str) or not value.strip() or not value.isprintable():
        raise ValueError
    return value


def name(value: object) -> str:
    """The name of a group or an end user."""
    name = text(value)
    if len(name) > ALIAS_LENGTH:
        raise ValueError
    return name


def alias(value: object) -> str:
    alias = name(value)
    if RESERVED_ALIAS.fullmatch(alias):
        raise ValueError
    return alias


def texts(value: object, most: int, length: int) -> tuple[str, ...]:
    if not isinstance(value, list):
        raise ValueError  # noqa: TRY004  (parsers raise ValueError only)
    found = tuple(dict.fromkeys(text(item).strip() for item in cast("list[object]", value)))
    if len(found) > most or any(len(item) > length for item in found):
        raise ValueError
    return found


def tags(value: object) -> tuple[str, ...]:
    return texts(value, TAGS, TAG_LENGTH)


def models(value: object) -> tuple[str, ...]:
    return check_model_globs(google_names(texts(value, GLOBS, GLOB_LENGTH)))


def routes(value: object) -> tuple[str, ...]:
    return check_route_globs(google_paths(texts(value, GLOBS, GLOB_LENGTH)))


def count(value: object) -> int:
    # True is an int in Python.
    if not isinstance(value, int) or isinstance(value, bool) or not 0 < value < 2**63:
        raise ValueError
    return value


def dollars(value: object) -> int:
    """In pico-dollars."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise ValueError  # noqa: TRY004
    # Decimal would also accept `1e3`, `٣` and spaces around a number.
    if isinstance(value, str) and not DECIMAL.fullmatch(value):
        raise ValueError
    found = pico(value)
    if not 0 <= found <= MAX_DOLLARS * PICO:
        raise ValueError
    return found


def model_counts(value: object) -> dict[str, int]:
    return _by_model(value, count)


def model_dollars(value: object) -> dict[str, int]:
    return _by_model(value, dollars)


def _by_model(value: object, parse: Callable[[object], int]) -> dict[str, int]:
    if not isinstance(value, dict):
        raise ValueError  # noqa: TRY004
    given = cast("dict[str, object]", value)
    texts(list(given), GLOBS, GLOB_LENGTH)
    found = {google_name(text(glob)): parse(number) for glob, number in given.items()}
    check_model_globs(tuple(found))
    # `gemini/x` and `x` are the same model, and one of the numbers would be ignored.
    if len(found) != len(given):
        raise ValueError
    return found


def seconds(value: object) -> int:
    seconds = parse_duration(text(value))
    if not seconds:
        raise ValueError
    return seconds


def duration(value: object) -> str:
    seconds(value)
    return text(value)


def flag(value: object) -> bool:
    if not isinstance(value, bool):
        raise ValueError  # noqa: TRY004
    return value


def one_of(kind: type[StrEnum]) -> Callable[[object], StrEnum]:
    return lambda value: kind(text(value))


def json_object(value: object) -> dict[str, object]:
    if not isinstance(value, dict):
        raise ValueError  # noqa: TRY004
    # ValueError for NaN, and for lone surrogates, which cannot be encoded in UTF-8.
    if len(json.dumps(value, ensure_ascii=False, allow_nan=False).encode()) > METADATA_LENGTH:
        raise ValueError
    return cast("dict[str, object]", value)


def secret(value: object) -> str:
    if not isinstance(value, str) or not SECRET.fullmatch(value):
        raise ValueError
    return value


def max_searches(value: object) -> int | None:
    """The highest number of searches; None for any number."""
    # Booleans are ints in Python: false counts as 0, true is handled below.
    if not isinstance(value, int) or not 0 <= value < 2**31:
        raise ValueError
    return None if value is True else int(value)


def only_unstored(value: object) -> bool:
    """Parses `store`: whether Google may store prompts."""
    if not isinstance(value, bool):
        raise ValueError  # noqa: TRY004  (parsers raise ValueError only)
    return not value


def service_tiers(value: object) -> tuple[str, ...]:
    names = tuple(dict.fromkeys(name.strip().lower() for name in _texts_of_limit(value)))
    if not set(names) <= set(SERVICE_TIERS):
        raise ValueError
    return names


def networks(value: object) -> tuple[str, ...]:
    """Networks in canonical form. Formats that a client's address never has are refused: with a zone, or
    IPv4-mapped IPv6."""
    found = dict.fromkeys(ip_network(text.strip()) for text in _texts_of_limit(value))
    if len(found) > MAX_NETWORKS or any(
        isinstance(network, IPv6Network)
        and (network.network_address.ipv4_mapped or network.network_address.scope_id)
        for network in found
    ):
        raise ValueError
    return tuple(map(str, found))


def _texts_of_limit(value: object) -> list[str]:
    """A list that must not be empty, because it could mean either that nothing is allowed or that there is no
    limit."""
    if not isinstance(value, list) or not value:
        raise ValueError
    texts = cast("list[object]", value)
    if not all(isinstance(text, str) for text in texts):
        raise ValueError
    return cast("list[str]", texts)
