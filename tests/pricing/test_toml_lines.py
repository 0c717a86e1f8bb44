"""Where the keys of a TOML document are, against what tomllib reads from it."""

from __future__ import annotations

import tomllib
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rig.examples import examples

from gatekeeper.pricing.toml_lines import Path, key_lines

DOCUMENT = '''# A comment, [not] = "a table"
a = 1  # 1
"b.c".d = [1,2, [3,
 4], { x = "}", y.z = 2 }] # [
[ e . "f\\u0067"\t]
s = """
multi "" ] = [ \\""
"""""
l = \'\'\'x\'\'\'\'
d = 1979-05-27 07:32:00
empty = []
[[m]]
p = [
  { t = "a" },  # c
  { t = 'b#', u = """x
y""", v = 1 },
]
[[m]]
[[m.q]]
z=1
[[m.q]]
z = 2
[m.r]
w = true'''


def paths(value: Any, path: Path = ()) -> list[Path]:
    """Of everything in a document but the lists that are arrays of tables."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    below = [found for key, item in items for found in paths(item, (*path, key))]
    return [path, *below] if path else below


def test_each_key_has_the_line_it_begins_in() -> None:
    found = key_lines(DOCUMENT)
    written = DOCUMENT.splitlines()
    assert found["a",] == 2
    assert found["b.c", "d", 2, 1] == found["b.c", "d", 3, "y", "z"] == 4
    assert found["e", "fg", "s"] == 6
    assert written[found["e", "fg", "l"] - 1] == "l = '''x''''"
    assert written[found["m", 0, "p", 1, "v"] - 1] == 'y""", v = 1 },'
    assert written[found["m", 1] - 1] == "[[m]]"
    assert [found["m", 1, "q", index, "z"] for index in (0, 1)] == [20, 22]
    assert written[found["m", 1, "r", "w"] - 1] == "w = true"


def test_every_path_of_a_document_is_found() -> None:
    arrays_of_tables = {("m",), ("m", 1, "q"), ("e",)}
    assert set(paths(tomllib.loads(DOCUMENT))) - set(key_lines(DOCUMENT)) == arrays_of_tables


def test_what_is_no_toml() -> None:
    with pytest.raises(ValueError, match="not TOML"):
        key_lines("= 1")


def text(value: str) -> str:
    """In the form that the value has room for."""
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    return f'"""\n{escaped}"""' if "\n" in value else f'"{escaped}"'


NAMES = st.sampled_from(["a", "b-c", '"d.e"', "'f g'", '"#"', "h . i"])
SPACE = st.sampled_from(["", " ", "\t"])
BREAK = st.sampled_from(["\n", "\n\n", "  # [x] = {\n", "\r\n"])
SCALARS = st.one_of(
    st.text(st.sampled_from('ab"\\#]},\n=[{'), max_size=6).map(text),
    st.sampled_from(["''", "'#'", "'''a\n]'''", "1", "-2.5e3", "true", "2026-11-24", "07:32:00"]),
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(
        st.tuples(st.lists(inner, max_size=3), BREAK).map(
            lambda items: "[" + items[1] + ("," + items[1]).join(items[0]) + items[1] + "]"
        ),
        st.dictionaries(NAMES, inner, max_size=3).map(
            lambda items: "{" + ", ".join(f"{name} = {value}" for name, value in items.items()) + "}"
        ),
    ),
    max_leaves=6,
)
TABLES = st.tuples(
    st.sampled_from(["[t]", "[[u]]", "[[u]]", "[ v . w ]"]), st.dictionaries(NAMES, VALUES, max_size=3), BREAK
)


def once(table: tuple[str, Any, str]) -> object:
    """A table occurs once, an array of tables has any number."""
    return id(table) if table[0] == "[[u]]" else table[0]


@settings(max_examples=examples(40))
@given(st.lists(TABLES, max_size=4, unique_by=once))
def test_any_document_has_the_lines_of_its_values(tables: Any) -> None:
    document, begun = "", {}
    for index, (header, values, end) in enumerate(tables):
        document += header + end
        for name, value in values.items():
            begun[f"{index}{name}"] = document.count("\n") + 1
            document += f"{name} = {value}{end}"
    found = key_lines(document)
    assert set(paths(tomllib.loads(document))) - set(found) <= {("u",), ("v",)}
    assert set(begun.values()) <= set(found.values())
    assert all(1 <= line <= document.count("\n") for line in found.values())
