"""What PostgreSQL writes into a CSV file, read back."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rig.cases import cases

from gatekeeper.litellm.tables import Row, TableError, read_rows


def row(**cells: str) -> Row:
    return Row("LiteLLM_X", 3, cells)


def array_literal(items: list[str]) -> str:
    """As PostgreSQL's array_out writes it: quoted where it must be."""

    def written(item: str) -> str:
        plain = item and item.upper() != "NULL" and not set(item) & set('{},"\\ \t\n\r\v\f')
        return item if plain else '"' + item.replace("\\", "\\\\").replace('"', '\\"') + '"'

    return "{" + ",".join(map(written, items)) + "}"


@given(st.lists(st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=8), max_size=5))
def test_an_array_comes_back_as_it_was(items: list[str]) -> None:
    assert row(a=array_literal(items)).names("a") == items


@cases(
    ("text", "names"),
    [
        ("", []), ("{}", []), ("{a}", ["a"]), ("{gemini/gemini-2.5-pro,b}", ["gemini/gemini-2.5-pro", "b"]),
        ('{"a b",NULL,"NULL",""}', ["a b", "NULL", ""]), ('["a", "b"]', ["a", "b"]), ("[]", []),
    ],
)  # fmt: skip
def test_an_array_in_either_form(text, names):
    assert row(a=text).names("a") == names


@cases(
    ("text", "dollars"),
    [
        ("", None), ("0", "0"), ("12.4", "12.4"), ("0.30000000000000004", "0.3"), ("1e-07", "0.0000001"),
        ("123.45600000000002", "123.456"), ("Infinity", None), ("1e+15", "1000000000000000"), ("100", "100"),
        ("0.0000000000004", "0"),
    ],
)  # fmt: skip
def test_an_amount_is_a_decimal_without_the_noise_of_floats(text, dollars):
    assert row(a=text).amount("a") == dollars


@cases(
    ("text", "moment"),
    [
        ("2026-12-01 00:00:00", datetime(2026, 12, 1, tzinfo=UTC)),
        ("2026-12-01 00:00:00.5", datetime(2026, 12, 1, 0, 0, 0, 500_000, tzinfo=UTC)),
        ("2026-12-01 01:00:00.123+01", datetime(2026, 12, 1, 0, 0, 0, 123_000, tzinfo=UTC)),
        ("2026-12-01T00:00:00Z", datetime(2026, 12, 1, tzinfo=UTC)),
        ("", None),
    ],
)
def test_a_time_without_a_zone_is_in_utc(text, moment):
    assert row(a=text).time("a") == moment


def test_null_and_a_column_that_is_not_there_are_nothing():
    empty = row(a="")
    for name in ("a", "b"):
        assert (empty.text(name), empty.whole(name), empty.amount(name), empty.time(name)) == (None,) * 4
        assert (empty.flag(name), empty.names(name)) == (False, [])
        assert (empty.document(name), empty.documents(name)) == ({}, [])
    assert (row(a="t").flag("a"), row(a="f").flag("a"), row(a="TRUE").flag("a")) == (True, False, True)
    # LiteLLM has stored JSON within a text of JSON, and null.
    assert row(a='"{\\"b\\": 1}"').document("a") == {"b": 1}
    assert (row(a="null").document("a"), row(a='[{"b": 1}]').documents("a")) == ({}, [{"b": 1}])


BAD = {
    "whole": "x", "amount": "x", "flag": "maybe", "time": "soon", "names": "{a", "document": "{",
    "documents": "[",
}  # fmt: skip


@cases(("method", "text"), [*BAD.items(), ("names", "a,b"), ("document", '"{"'), ("amount", "NaN")])
def test_a_cell_that_is_something_else_is_named_and_not_repeated(method, text):
    with pytest.raises(TableError, match="LiteLLM_X, row 3: the column secret is not") as caught:
        getattr(row(secret=text + "xyzzy" if method != "amount" else text), method)("secret")
    assert "xyzzy" not in str(caught.value)


@cases(
    ("text", "said"),
    [
        ("a,b\n1,2\n", "has no column token: export the whole table"),
        ("", "has no column token"),
        ("token,b\n1\n", "row 1: it has not as many cells"),
        ("token,b\n1,2,3\n", "row 1: it has not as many cells"),
        ('token,b\n1,"2\n', "is no CSV"),
    ],
)
def test_a_file_that_is_no_table_is_named(text, said):
    with pytest.raises(TableError, match=said):
        read_rows("LiteLLM_X", text, ("token",))


def test_a_cell_may_be_long_and_have_lines():
    (found,) = read_rows("LiteLLM_X", f'token,b\n1,"{"a" * 200_000}\nb"\n', ("token",))
    assert len(found.text("b") or "") == 200_002
