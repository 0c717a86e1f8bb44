"""The bodies of `/key/generate` and `/key/update`: which fields exist, and which values each of them accepts.

`FIELDS` defines everything: the name in the API, the attribute of the record that it sets, the parser of its
value, and a description of what is allowed. Only `null` resets a field to its default: an empty string is
always refused, and so is an empty list in an update, which would remove a limit. For a new key an empty list
means no limit, because LiteLLM's clients send it for "all".
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import NamedTuple, cast

import msgspec

from gatekeeper.keys import field_values as values
from gatekeeper.keys.limits import NamedRecord, OnDisconnect, Share
from gatekeeper.keys.litellm_fields import LITELLM_FIELDS, is_unset
from gatekeeper.keys.policies import SERVICE_TIERS
from gatekeeper.keys.virtual_key import KeyRecord, Role
from gatekeeper.keys.windows import MICROS_PER_SECOND
from gatekeeper.suggestions import did_you_mean

NAME_LENGTH = 60  # characters of an unknown field's name that a message repeats
LISTED_LIMITS = ("models", "allowed_routes", "model_max_budget", "model_rpm_limit", "model_tpm_limit")


class FieldError(ValueError):
    """An invalid value of a field. `value` is None if the error must not repeat it."""

    def __init__(self, field: str, value: object, allowed: str, problem: str | None = None) -> None:
        super().__init__(f"{problem or f'`{field}` cannot be {_excerpt(value)}'}: {allowed}")
        self.field = field
        self.value = value
        self.allowed = allowed


class KeyFields(msgspec.Struct, frozen=True):
    """The fields in a body that were given, as values by attribute of `KeyRecord`. `secret` is one that the
    caller has chosen for a new key; an update has none."""

    changes: dict[str, object] = {}
    secret: str | None = None


class Field(NamedTuple):
    """One field. `parse` raises ValueError for a value that is not allowed; `resolve_time` converts a value
    that is relative to now into a time."""

    attribute: str
    parse: Callable[[object], object]
    allowed: str
    resolve_time: Callable[..., int | None] | None = None


class FieldTable(NamedTuple):
    """The fields of `what` (for messages), and the defaults of their attributes."""

    what: str
    fields: Mapping[str, Field]
    defaults: Mapping[str, object]


def parse_fields(
    document: object, *, now: int, update: bool = False, table: FieldTable | None = None
) -> KeyFields:
    """Parses a decoded JSON body; as that of a key unless another table is given. In an `update` the name of
    the key has already been removed from the body.

    Raises FieldError for the first field that is unknown or has a value that is not allowed.
    """
    if not isinstance(document, dict):
        raise FieldError("body", None, "send a JSON object", "The body is not a JSON object")
    every = cast("dict[str, object]", document)
    given = {name: value for name, value in every.items() if not is_unset(name, value)}
    table = table or KEY_TABLE
    changes = {
        _field(name, table).attribute: _value(name, value, now, table) for name, value in given.items()
    }
    # An empty list, for example from an unset variable in a script, would remove the limit. For a new key it
    # means no limit, because LiteLLM's clients send it for "all".
    if update and (widened := next((name for name in LISTED_LIMITS if given.get(name) in ([], {})), None)):
        raise FieldError(widened, given[widened], "name what the key may use, or give null for no limit")
    secret = cast("str | None", changes.pop("secret", None))
    # An alias is shown everywhere, so it must not be the secret.
    if secret and secret == changes.get("key_alias"):
        raise FieldError(
            "key_alias", None, "choose another", "The alias is not secret, so it cannot be the key"
        )
    return KeyFields(changes, secret)


def _field(name: str, table: FieldTable) -> Field:
    if field := table.fields.get(name):
        return field
    if foreign := LITELLM_FIELDS.get(name):
        problem = f"`{name}` is LiteLLM's, and not a field of {table.what} here"
        raise FieldError(name, None, foreign.instead, problem)
    name = name[:NAME_LENGTH]
    allowed = did_you_mean(name, table.fields, f"there are {', '.join(table.fields)}", quote="`")
    raise FieldError(name, None, allowed, f"`{name}` is not a field of {table.what}")


def _value(name: str, value: object, now: int, table: FieldTable) -> object:
    attribute, parse, allowed, resolve_time = table.fields[name]
    if value is None:
        # An update must reset the field, so `null` cannot mean that the field is absent.
        return table.defaults.get(attribute)
    try:
        parsed = parse(value)
    except ValueError:
        # Errors are shown and logged, so they never repeat what may be a secret.
        if attribute in ("secret", "secret_hash"):
            raise FieldError(name, None, allowed, f"This `{name}` cannot be a secret") from None
        if isinstance(value, str) and values.RESERVED_ALIAS.fullmatch(value):
            raise FieldError(name, None, allowed, f"This `{name}` looks like an id or a secret") from None
        raise FieldError(name, value, allowed) from None
    return resolve_time(parsed, now) if resolve_time else parsed


def _excerpt(value: object) -> str:
    text = json.dumps(value)
    return text if len(text) <= 60 else text[:57] + "..."


def _seconds_from_now(seconds: int, now: int) -> int:
    return now + seconds * MICROS_PER_SECOND


def _now_if_true(flag: bool, now: int) -> int | None:
    return now if flag else None


_LIMIT = "give a whole number from 1, or null for no limit"
_MODEL_LIMITS = (
    "give whole numbers from 1 by model or glob, in lower case, "
    'as {"gemini-2.5-pro*": 10}, or null for no limit'
)
_DOLLARS = (
    "give dollars from 0 to 1000000000000 with at most 12 decimal places, "
    "as a number or a decimal string, or null for no budget"
)
_MODEL_DOLLARS = (
    "give an object of models or globs in lower case, each with dollars from 0 to 1000000000000 with at most "
    '12 decimal places, as {"gemini-2.5-pro*": 10}, or null for none'
)
_DURATION = "give a number with one of s m h d w mo, as 12h or 30d, of at most 100 years, or null"
_NAMES = f"give a list of at most {values.GLOBS} non-empty strings of printable characters"
_NAME = f"give 1 to {values.ALIAS_LENGTH} printable characters, or null"
_TAGS = f"give a list of at most {values.TAGS} tags of 1 to {values.TAG_LENGTH} printable characters"
_METADATA = f"give a JSON object of at most {values.METADATA_LENGTH:,} bytes"
_SEARCHES = "give false for none, true for any number, or how many a call may make, from 0"
_STORE = "give false if requests must say `store: false`, or true if they need not"
_TIERS = f"give a list of at least one of {', '.join(SERVICE_TIERS)}, or null for all"
_NETWORKS = (
    f"give a list of 1 to {values.MAX_NETWORKS} addresses or networks as 203.0.113.7, 10.0.0.0/8 or "
    "2001:db8::/32 (no bits set behind the prefix), or null for all"
)

FIELDS: dict[str, Field] = {
    "key_alias": Field(
        "key_alias", values.alias, "give 1 to 200 printable characters, no id or secret, or null"
    ),
    "duration": Field("expires_at", values.seconds, _DURATION, resolve_time=_seconds_from_now),
    "models": Field(
        "models",
        values.models,
        f"{_NAMES}, each a model or a glob as gemini-2.5*, in lower case, of Google's and without a method; "
        "null is any",
    ),
    "max_budget": Field("max_budget_pico", values.dollars, _DOLLARS),
    "soft_budget": Field("soft_budget_pico", values.dollars, _DOLLARS),
    "model_max_budget": Field("model_max_budget_pico", values.model_dollars, _MODEL_DOLLARS),
    "budget_duration": Field("budget_duration", values.duration, _DURATION),
    "tpm_limit": Field("tpm_limit", values.count, _LIMIT),
    "rpm_limit": Field("rpm_limit", values.count, _LIMIT),
    "model_rpm_limit": Field("model_rpm_limit", values.model_counts, _MODEL_LIMITS),
    "model_tpm_limit": Field("model_tpm_limit", values.model_counts, _MODEL_LIMITS),
    "max_parallel_requests": Field("max_parallel_requests", values.count, _LIMIT),
    "tags": Field("tags", values.tags, _TAGS),
    "metadata": Field("metadata", values.json_object, _METADATA),
    "user_id": Field("user_id", values.name, _NAME),
    "allowed_routes": Field(
        "allowed_routes",
        values.routes,
        f"{_NAMES}, each an action as generateContent or a glob of the path behind /gemini, "
        "as /v1beta/models/*; null is any",
    ),
    "blocked": Field("blocked_at", values.flag, "give true or false", resolve_time=_now_if_true),
    "key": Field("secret", values.secret, "give at least 16 printable ASCII characters without spaces"),
    "group": Field("group", values.name, _NAME),
    "on_disconnect": Field("on_disconnect", values.one_of(OnDisconnect), "give `cancel` or `finish`"),
    "share": Field(
        "share", values.one_of(Share), "give `group` or `all`, or null for what only this key sees"
    ),
    "allow_unpriced": Field("allow_unpriced", values.flag, "give true or false"),
    "searches": Field("max_searches", values.max_searches, _SEARCHES),
    "store": Field("only_unstored", values.only_unstored, _STORE),
    "max_output_tokens": Field("max_output_tokens", values.count, _LIMIT),
    "service_tiers": Field("service_tiers", values.service_tiers, _TIERS),
    "allowed_ips": Field("allowed_ips", values.networks, _NETWORKS),
    "role": Field("role", values.one_of(Role), f"give {', '.join(Role)}, or null for own data only"),
}


def _defaults(record: type[msgspec.Struct]) -> dict[str, object]:
    return {
        field.name: {} if field.default is msgspec.NODEFAULT else field.default
        for field in msgspec.structs.fields(record)
        if not field.required
    }


KEY_TABLE = FieldTable("a key", FIELDS, _defaults(KeyRecord))

KEYS_ONLY = ("share",)
"""Fields that only a key has."""
GROUP_FIELDS = {
    name: field
    for name, field in FIELDS.items()
    if field.attribute in NamedRecord.__struct_fields__ and name not in KEYS_ONLY
}
GROUP_TABLE = FieldTable("a group", GROUP_FIELDS, _defaults(NamedRecord))
USER_TABLE = FieldTable("an end user", GROUP_FIELDS, _defaults(NamedRecord))


def parse_name(field: str, value: object) -> str:
    """The name of a new group or end user. Raises FieldError."""
    try:
        return values.name(value)
    except ValueError:
        raise FieldError(field, value, f"give 1 to {values.ALIAS_LENGTH} printable characters") from None
