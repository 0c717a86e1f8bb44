"""The fields that `/import` accepts: those of a key, a group or an end user, plus its state at the other
gateway."""

from __future__ import annotations

import re
from datetime import datetime
from typing import cast

from gatekeeper.keys import field_values as values
from gatekeeper.keys.account_changes import NAME_FIELDS
from gatekeeper.keys.fields import (
    FIELDS,
    GROUP_TABLE,
    KEY_TABLE,
    USER_TABLE,
    Field,
    FieldError,
    FieldTable,
    parse_fields,
    parse_name,
)
from gatekeeper.keys.key_import import Incoming
from gatekeeper.keys.virtual_key import PreviousSecret
from gatekeeper.times import to_micros

DIGEST = re.compile(r"[0-9a-f]{64}")
MASKED = re.compile(r"sk-\.\.\.[!-~]{0,4}")
NOT_IMPORTED = ("key", "duration", "role")
"""Fields of a new key that an imported one cannot have: roles are only given here."""


def digest(value: object) -> str:
    if not isinstance(value, str) or not DIGEST.fullmatch(value):
        raise ValueError
    return value


def masked(value: object) -> str:
    if not isinstance(value, str) or not MASKED.fullmatch(value):
        raise ValueError
    return value


def moment(value: object) -> int:
    found = datetime.fromisoformat(values.text(value))
    if found.tzinfo is None:
        raise ValueError
    return to_micros(found)


UNKNOWN_NAME = "sk-...????"
"""The masked form of a secret if only its digest is known."""
_DIGEST = "give the SHA-256 of the secret, 64 lower-case hex digits"
_MOMENT = "give a time in ISO 8601 with its zone, as 2026-11-24T13:00:00Z, or null"
PAST = {
    "spend": Field("spend", values.dollars, "give dollars with at most 12 decimal places, or null for none"),
    "budget_reset_at": Field("reset_at", moment, _MOMENT),
}
"""The spend at the other gateway in the current budget period, and when that ends."""
IMPORT_FIELDS = {
    **{name: field for name, field in FIELDS.items() if name not in NOT_IMPORTED},
    "secret_hash": Field("secret_hash", digest, _DIGEST),
    "key_name": Field("key_name", masked, "give the masked secret, as sk-...wxyz"),
    "previous_secret_hash": Field("previous_hash", digest, f"{_DIGEST} or null"),
    "previous_expires": Field("previous_until", moment, _MOMENT),
    "expires": Field("expires_at", moment, _MOMENT),
    **PAST,
}
"""The fields of an imported key."""


def _table(what: str, table: FieldTable, fields: dict[str, Field]) -> FieldTable:
    return FieldTable(what, fields, {**table.defaults, "spend": 0, "reset_at": None})


TABLES = {
    "key": _table("an imported key", KEY_TABLE, IMPORT_FIELDS),
    "group": _table("an imported group", GROUP_TABLE, {**GROUP_TABLE.fields, **PAST}),
    "user": _table("an imported end user", USER_TABLE, {**USER_TABLE.fields, **PAST}),
}


def parse_incoming(kind: str, document: dict[str, object], now: int) -> Incoming:
    """Raises FieldError."""
    name = ""
    if field := NAME_FIELDS.get(kind):
        name = parse_name(field, document.get(field))
        document = {key: value for key, value in document.items() if key != field}
    changes = dict(parse_fields(document, now=now, table=TABLES[kind]).changes)
    for needed in ("secret_hash", "key_name") if kind == "key" else ():
        if changes.get(needed) is None:
            raise FieldError(needed, None, IMPORT_FIELDS[needed].allowed, f"`{needed}` is missing")
    if kind == "key":
        end = changes.pop("previous_until", None)
        changes["previous"] = _previous(changes.pop("previous_hash", None), end)
    spend, reset_at = changes.pop("spend", 0), changes.pop("reset_at", None)
    if reset_at is not None and changes.get("budget_duration") is None:
        problem = "There is no period that ends"
        raise FieldError("budget_reset_at", None, "give `budget_duration`, too", problem)
    return Incoming(kind, name, changes, cast("int", spend), cast("int | None", reset_at))


def _previous(secret_hash: object, until: object) -> PreviousSecret | None:
    """Raises FieldError for a previous secret without an expiry, or an expiry without a secret."""
    if (secret_hash is None) != (until is None):
        missing = "previous_expires" if until is None else "previous_secret_hash"
        raise FieldError(missing, None, IMPORT_FIELDS[missing].allowed, f"`{missing}` is missing")
    if secret_hash is None:
        return None
    return PreviousSecret(cast("str", secret_hash), UNKNOWN_NAME, cast("int", until))
