"""A key's form: what it shows reads as no change, and every change arrives at the gateway as it was meant."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatekeeper.client.key_types import Key
from gatekeeper.keys.fields import parse_fields
from gatekeeper.keys.virtual_key import KeyRecord, KeyState, key_document
from gatekeeper.times import to_micros
from tui.key_fields import FIELDS, Unreadable, read_changes, texts_of

NOW = datetime(2026, 11, 24, 13, 7, 32, tzinfo=UTC)
MICROS = to_micros(NOW)
BY_NAME = {field.name: field for field in FIELDS}
NOTHING = dict.fromkeys(FIELDS, "")

printable = st.text(st.characters(exclude_categories=("C", "Zs", "Zl", "Zp")) | st.just(" "), min_size=1)
names = (
    printable.map(str.strip)
    .filter(bool)
    .filter(lambda name: name.strip(", \t"))
    .filter(lambda name: len(name) <= 20)
)
amounts = st.decimals(0, 10**12, places=12).map("{:f}".format)
counts = st.integers(1, 10**15)
key_fields = st.fixed_dictionaries(
    {},
    optional={
        "key_alias": names.filter(lambda name: not name.startswith("key_")),
        "max_budget": amounts,
        "soft_budget": amounts,
        "budget_duration": st.sampled_from(["1mo", "30d", "12h"]),
        "models": st.lists(st.from_regex(r"[a-z0-9.-]{1,9}\*?", fullmatch=True), min_size=1, unique=True),
        "rpm_limit": counts,
        "tpm_limit": counts,
        "max_parallel_requests": counts,
        "tags": st.lists(names, min_size=1, unique=True),
        "group": names,
        "user_id": names,
        "allowed_routes": st.lists(
            st.sampled_from(["generateContent", "/v1beta/models/*", "countTokens"]), min_size=1, unique=True
        ),
        "duration": st.sampled_from(["90d", "1h"]),
        "role": st.sampled_from(["viewer", "operator", "admin"]),
    },
)


def record_of(fields):
    record = KeyRecord(token_id="key_1", secret_hash="", key_name="", created_at=MICROS, updated_at=MICROS)
    return changed(record, parse_fields(fields, now=MICROS).changes)


def changed(record, changes):
    return msgspec.structs.replace(record, **changes)


def shown(record):
    """The key as a client reads it."""
    document = msgspec.json.encode(key_document(KeyState(record=record)))
    return msgspec.json.decode(document, type=Key)


@given(key_fields)
def test_a_form_that_is_not_touched_changes_nothing(fields):
    texts = texts_of(shown(record_of(fields)), FIELDS)
    assert read_changes(texts, texts, NOW) == {}


@given(key_fields, key_fields)
def test_what_is_typed_is_what_the_gateway_stores(before, wanted):
    record, goal = record_of(before), record_of(wanted)
    key, texts = shown(record), texts_of(shown(goal), FIELDS)
    changes = read_changes(texts_of(key, FIELDS), texts, NOW)
    sent = msgspec.json.decode(msgspec.json.encode(changes))
    stored = changed(record, parse_fields(sent, now=MICROS, update=True).changes)
    # A form shows an expiry by the minute.
    assert texts_of(shown(stored), FIELDS) == texts
    assert msgspec.structs.replace(stored, expires_at=None) == msgspec.structs.replace(goal, expires_at=None)
    assert set(changes) == {field.name for field in FIELDS if texts[field] != field.show(key)}


@given(key_fields)
def test_a_key_is_made_as_it_was_typed(wanted):
    goal = record_of(wanted)
    changes = read_changes(NOTHING, texts_of(shown(goal), FIELDS), NOW)
    made = record_of(msgspec.json.decode(msgspec.json.encode(changes)))
    assert msgspec.structs.replace(made, expires_at=None) == msgspec.structs.replace(goal, expires_at=None)


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("models", ", a,,b ", ["a", "b"]),
        ("tags", r'"a, b" "say \"hi\"" c', ["a, b", 'say "hi"', "c"]),
        ("max_budget", "20.50", "20.5"),
        ("max_budget", "$1,200", "1200"),
        ("max_budget", "007", "7"),
        ("max_budget", "0", "0"),
        ("max_budget", "1,5", "1,5"),
        ("max_budget", "٣", "٣"),
        ("max_budget", "1e9", "1e9"),
        ("rpm_limit", "250,000", 250_000),
        ("rpm_limit", "0", 0),
        ("rpm_limit", "-1", "-1"),
        ("rpm_limit", "9" * 30, "9" * 30),
        ("duration", "90d", "90d"),
        ("duration", "2026-11-24 14:08", "28s"),
        ("duration", "2026-11-25", "35548s"),
    ],
)
def test_how_a_field_is_read(name, text, value):
    assert read_changes(NOTHING, {BY_NAME[name]: text}, NOW) == {name: value}


@pytest.mark.parametrize(
    ("name", "text", "problem"),
    [
        ("tags", 'a "b', "tags: the quote"),
        ("models", " , ", "models: there are only spaces"),
        ("key_alias", " ", "alias: there are only spaces"),
        ("duration", "2026-11-24 14:07", "expires: that time is over"),
        ("duration", "2026-02-30", "expires: there is no such day"),
    ],
)
def test_what_cannot_be_read_is_said(name, text, problem):
    with pytest.raises(Unreadable, match=problem):
        read_changes(NOTHING, {BY_NAME[name]: text}, NOW)


def test_an_expired_key_may_be_given_another_time():
    key = Key(expires=NOW - timedelta(days=3))
    before = texts_of(key, FIELDS)
    assert read_changes(before, before, NOW) == {}
    assert read_changes(before, {**before, BY_NAME["duration"]: "30d"}, NOW) == {"duration": "30d"}
