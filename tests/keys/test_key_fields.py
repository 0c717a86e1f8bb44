"""What `/key/generate` and `/key/update` take, field by field, and how they say no."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rig.cases import cases

from gatekeeper.keys.fields import FIELDS, FieldError, KeyFields, parse_fields
from gatekeeper.keys.limits import OnDisconnect
from gatekeeper.keys.virtual_key import Role

NOW = 1_790_000_000_000_000
MICROS_PER_SECOND = 1_000_000
USD = 10**12

TAKEN = [
    ("key_alias", "team a", "key_alias", "team a"),
    ("key_alias", "ü" * 200, "key_alias", "ü" * 200),
    ("key_alias", "key_team", "key_alias", "key_team"),
    ("key_alias", "sk-short", "key_alias", "sk-short"),
    ("duration", "12h", "expires_at", NOW + 12 * 3600 * MICROS_PER_SECOND),
    ("duration", "1mo", "expires_at", NOW + 30 * 86400 * MICROS_PER_SECOND),
    ("models", ["gemini-2.5*", "gemma*"], "models", ("gemini-2.5*", "gemma*")),
    ("models", [], "models", ()),
    ("max_budget", 10, "max_budget_pico", 10 * USD),
    ("max_budget", 0.1, "max_budget_pico", USD // 10),
    ("max_budget", "0.000000000001", "max_budget_pico", 1),
    ("max_budget", 0, "max_budget_pico", 0),
    ("max_budget", 10**12, "max_budget_pico", 10**24),
    ("soft_budget", "2.50", "soft_budget_pico", 25 * USD // 10),
    (
        "model_max_budget",
        {"gemma*": 2, "*": "0.5"},
        "model_max_budget_pico",
        {"gemma*": 2 * USD, "*": USD // 2},
    ),
    ("budget_duration", "30d", "budget_duration", "30d"),
    ("tpm_limit", 1, "tpm_limit", 1),
    ("rpm_limit", 60, "rpm_limit", 60),
    ("model_rpm_limit", {"gemini-2.5-pro*": 3}, "model_rpm_limit", {"gemini-2.5-pro*": 3}),
    ("model_tpm_limit", {"*": 9}, "model_tpm_limit", {"*": 9}),
    ("max_parallel_requests", 5, "max_parallel_requests", 5),
    ("tags", [" a", "b", "a"], "tags", ("a", "b")),
    ("metadata", {"team": {"id": 7}}, "metadata", {"team": {"id": 7}}),
    ("user_id", "u-1", "user_id", "u-1"),
    ("allowed_routes", ["files.upload"], "allowed_routes", ("files.upload",)),
    (
        "allowed_routes",
        ["/v1beta/*", "/ws/*", "*/files"],
        "allowed_routes",
        ("/v1beta/*", "/ws/*", "*/files"),
    ),
    ("models", ["tunedModels/a", "models/b"], "models", ("tunedModels/a", "models/b")),
    ("models", ["tunedModels/a-1?", "models/b_0.1@*"], "models", ("tunedModels/a-1?", "models/b_0.1@*")),
    ("blocked", True, "blocked_at", NOW),
    ("blocked", False, "blocked_at", None),
    ("group", "research", "group", "research"),
    ("on_disconnect", "finish", "on_disconnect", OnDisconnect.FINISH),
    ("share", "all", "share", "all"),
    ("allow_unpriced", True, "allow_unpriced", True),
    ("searches", False, "max_searches", 0),
    ("searches", 3, "max_searches", 3),
    ("searches", True, "max_searches", None),
    ("store", False, "only_unstored", True),
    ("max_output_tokens", 8192, "max_output_tokens", 8192),
    ("service_tiers", ["FLEX"], "service_tiers", ("flex",)),
    ("allowed_ips", ["10.0.0.0/8", "::1"], "allowed_ips", ("10.0.0.0/8", "::1/128")),
    ("role", "viewer", "role", Role.VIEWER),
]


@cases(("field", "value", "attribute", "stored"), TAKEN)
def test_a_field_is_taken(field, value, attribute, stored):
    assert parse_fields({field: value}, now=NOW) == KeyFields({attribute: stored})


def test_every_field_of_the_table_is_tried():
    assert {case[0] for case in TAKEN} | {"key"} == set(FIELDS)


@cases(
    ("field", "attribute", "unset"),
    [
        ("key_alias", "key_alias", None),
        ("duration", "expires_at", None),
        ("models", "models", ()),
        ("max_budget", "max_budget_pico", None),
        ("metadata", "metadata", {}),
        ("blocked", "blocked_at", None),
        ("on_disconnect", "on_disconnect", None),
        ("allow_unpriced", "allow_unpriced", False),
        ("searches", "max_searches", None),
        ("store", "only_unstored", False),
        ("allowed_ips", "allowed_ips", ()),
        ("role", "role", None),
    ],
)
def test_null_means_not_set(field, attribute, unset):
    assert parse_fields({field: None}, now=NOW) == KeyFields({attribute: unset})


@pytest.mark.parametrize("field", ["models", "allowed_routes"])
def test_an_empty_list_is_no_limit_for_a_new_key_and_takes_none_away_from_another(field):
    assert parse_fields({field: []}, now=NOW) == KeyFields({field: ()})

    with pytest.raises(FieldError, match="null for no limit") as caught:
        parse_fields({"tags": [], field: []}, now=NOW, update=True)

    assert caught.value.field == field
    assert parse_fields({field: None, "tags": []}, now=NOW, update=True).changes == {field: (), "tags": ()}


def test_what_is_not_given_is_not_changed():
    assert parse_fields({}, now=NOW) == KeyFields({}, None)


def test_a_secret_may_be_chosen():
    assert parse_fields({"key": "sk-0123456789abc"}, now=NOW) == KeyFields({}, "sk-0123456789abc")
    assert parse_fields({"key": None}, now=NOW) == KeyFields({}, None)


NUL, HALF, TAB = "a\x00b", "\ud800", "a\tb"

REFUSED = {
    "key_alias": [
        "",
        "   ",
        "x" * 201,
        TAB,
        HALF,
        7,
        ["a"],
    ],
    "duration": ["", "30", "d", "-1d", "0s", "30 d", "1y", "500ms", "99999999mo", 30, True],
    "models": [
        "gemini",
        [""],
        [7],
        [None],
        {"a": 1},
        [TAB],
        ["Gemini-2.5-pro"],
        ["gemini-2.5-pro:generateContent"],
        ["gemini-2.5*", "!gemini-2.5-pro"],
        ["gemini-[23]*"],
        ["^gemini-2.5-(pro|flash)$"],
        ["gemini-2.5-pro,gemini-2.5-flash"],
        ["x" * 501],
    ],
    "max_budget": [-1, "-1", "1e3", "1_0", " 1", "", "ten", "NaN", float("nan"), float("inf"), True, [1]],
    "model_max_budget": [
        [],
        5,
        {"a": -1},
        {"a": None},
        {"a": {"budget_limit": 1}},
        {"a b": 1},
        {"A": 1},
        {"!a": 1},
    ],
    "soft_budget": ["0.0000000000001", 1e-13, 10**12 + 1, 1e300, "9" * 40],
    "budget_duration": ["0h", "monthly", 3600, "100y"],
    "tpm_limit": [0, -1, 1.5, 10.0, "10", True, 2**63],
    "rpm_limit": [0],
    "model_rpm_limit": [[], 5, {"a": 0}, {"a": None}, {"a": "1"}, {"": 1}, {" ": 1}, {"a b": 1}],
    "model_tpm_limit": [{"*": -1}, {"*": True}, {"a:countTokens": 1}, {"x" * 501: 1}],
    "max_parallel_requests": [False],
    "tags": ["a", [" "], [NUL], ["x" * 129], [str(n) for n in range(65)]],
    "metadata": [[], "x", 7, {"a": float("nan")}, {"a": HALF}, {"a": "x" * 16_384}],
    "user_id": ["", 7, HALF, "x" * 201],
    "allowed_routes": [
        "*",
        [""],
        ["/foo/*"],
        ["/models/*"],
        ["/gemini"],
        ["files/*"],
        ["x" * 501],
        ["!countTokens"],
        ["{countTokens,files.get}"],
        ["/v1beta/models/[a-f]*"],
        ["generatecontent"],
        ["files.Upload"],
        ["FileSearchStores.*"],
    ],
    "blocked": [1, "true", 0],
    "group": ["", [], "x" * 201],
    "on_disconnect": ["stop", "CANCEL", 1, ""],
    "share": ["", "GROUP", "none", True, ["all"]],
    "allow_unpriced": ["true", 1, []],
    "searches": [-1, "0", 1.5, []],
    "store": ["false", 0, []],
    "max_output_tokens": [0, -1, "8192", True],
    "service_tiers": [[], "flex", ["cheap"], [7]],
    "allowed_ips": [[], "10.0.0.0/8", ["10.0.0.1/8"], ["example.com"]],
    "role": ["root", "", 1, ["admin"]],
}


@cases(("field", "value"), [(name, bad) for name, bads in REFUSED.items() for bad in bads])
def test_a_value_that_is_not_allowed_is_named(field, value):
    with pytest.raises(FieldError) as caught:
        parse_fields({field: value}, now=NOW)

    assert caught.value.field == field
    assert caught.value.value is value
    assert str(caught.value).startswith(f"`{field}` cannot be ")
    assert str(caught.value).endswith(caught.value.allowed)


@cases("secret", ["short", "x" * 15, "with blank 0123456789", "ünicode-0123456789", "a\n" * 9])
def test_a_bad_secret_is_not_repeated(secret):
    with pytest.raises(FieldError) as caught:
        parse_fields({"key": secret}, now=NOW)

    assert caught.value.field == "key"
    assert caught.value.value is None
    assert secret not in str(caught.value)


@pytest.mark.parametrize("alias", ["key_0123456789abcdef", "sk-0123456789abc", "sk-" + "A_-9" * 11])
def test_an_alias_looks_like_no_id_and_no_secret_and_is_not_repeated(alias):
    with pytest.raises(FieldError, match="looks like") as caught:
        parse_fields({"key_alias": alias}, now=NOW)

    assert (caught.value.field, caught.value.value) == ("key_alias", None)
    assert alias not in str(caught.value)


def test_an_alias_that_gives_the_secret_away_is_refused():
    with pytest.raises(FieldError, match="alias") as caught:
        parse_fields({"key": "0123456789abcdef", "key_alias": "0123456789abcdef"}, now=NOW)

    assert "0123456789abcdef" not in str(caught.value)


@cases(
    ("name", "words"),
    [
        ("max_budgt", "did you mean `max_budget`?"),
        ("model", "did you mean `models`?"),
        ("zzz", "there are key_alias, duration"),
        ("expires_at", "there are"),
        ("secret_hash", "there are"),
        ("token_id", "there are"),
    ],
)
def test_an_unknown_field_is_named_with_the_nearest(name, words):
    with pytest.raises(FieldError) as caught:
        parse_fields({"key_alias": "a", name: 1}, now=NOW)

    assert caught.value.field == name
    assert f"`{name}` is not a field of a key: " in str(caught.value)
    assert words in str(caught.value)


@cases("body", [None, [], "x", 7, [{"key_alias": "a"}]])
def test_a_body_is_an_object(body):
    with pytest.raises(FieldError, match="JSON object") as caught:
        parse_fields(body, now=NOW)

    assert caught.value.field == "body"


def test_a_long_value_is_shortened_in_the_message():
    with pytest.raises(FieldError) as caught:
        parse_fields({"key_alias": "x" * 5000}, now=NOW)

    assert len(str(caught.value)) < 200


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)


@given(st.dictionaries(st.sampled_from([*FIELDS, "nonsense"]), json_values, max_size=4))
def test_any_body_is_taken_or_refused_by_name(body):
    try:
        named = parse_fields(body, now=NOW).changes.keys()
    except FieldError as error:
        named = {error.field}

    attributes = {FIELDS[name].attribute for name in body if name in FIELDS}
    assert named <= attributes | body.keys()
    assert named or body.keys() <= {"key"}


def test_the_name_of_an_unknown_field_is_repeated_in_part_only():
    with pytest.raises(FieldError) as caught:
        parse_fields({"x" * 1_000_000: 1}, now=NOW)
    assert caught.value.field == "x" * 60
    assert len(str(caught.value)) < 1000
