"""What is wrong with a price file: all of it, each in one line with the number of its line."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rig.cases import cases
from rig.examples import examples

from gatekeeper.pricing.catalogue import Catalogue
from gatekeeper.pricing.price_faults import CatalogueError, Fault
from gatekeeper.startup import load_catalogue

HEAD = 'checked = "2026-11-24"\n'
MODEL = '[[models]]\nids = ["m"]\nsource = "a page"\n'
STANDARD = 'tier = "standard"'


def file(*rows: str, head: str = HEAD, model: str = MODEL) -> str:
    """A file whose first row is in line 6."""
    return head + model + "prices = [\n" + "".join(f"  {{ {row} }},\n" for row in rows) + "]\n"


def faults(text: str) -> list[str]:
    with pytest.raises(CatalogueError) as caught:
        Catalogue.parse(text)
    assert str(caught.value) == "\n".join(caught.value.lines)
    return list(caught.value.lines)


FULL = f'{STANDARD}, input = "1"'


def alias(*steps: str) -> str:
    return file(FULL) + "[aliases]\nl = [\n" + ",\n".join(steps) + "\n]\n"


@cases(
    ("text", "line", "named", "allowed"),
    [
        ("\nchecked = x", 2, "not valid TOML: Invalid value", ""),
        ("a = [\n\n", 2, "not valid TOML", ""),
        ("", 1, "checked is missing", "2026-11-24"),
        (HEAD, 1, "there are no [[models]]", "at least one"),
        ("a = " + "[" * 5000, 1, "not valid TOML: nested too deeply", ""),
        ("a = " + "1" * 5000, 1, "not valid TOML", "digits"),
        (file(FULL, head=HEAD + 'currency = "EUR"\n'), 2, "currency is 'EUR'", "USD"),
        (file(FULL, head=HEAD + "version = 1\n"), 2, "version is 1", "a text in quotes"),
        (file(FULL, head=HEAD + "comment = 1\n"), 2, "unknown key 'comment'", "version, checked, currency"),
        (file(FULL, head='checked = "soon"\n'), 1, "`checked` is 'soon'", "2026-11-24"),
        (file(FULL, head="checked = 2026-11-24T10:00:00\n"), 1, "`checked` is '2026-11-24 10", "a day"),
        (HEAD + "models = 1", 2, "models is no list of tables", "{ … }"),
        (HEAD + "models = [1]", 2, "models is no list of tables", "{ … }"),
        (file(FULL, model='[[models]]\nids = ["m"]\n'), 2, "the model has no source", "where its prices"),
        (file(FULL, model="[[models]]\nsource = ''\n"), 2, "ids is missing;", '["gemini-x"]'),
        (file(FULL, model='[[models]]\nids = "m"\nsource = ""\n'), 3, "ids is 'm'", '["gemini-x"]'),
        (file(FULL, model="[[models]]\nids = []\nsource = ''\n"), 3, "ids is []", '["gemini-x"]'),
        (file(FULL, model=MODEL + "note = 1\n"), 5, "note is 1", "a text"),
        (file(FULL, model=MODEL + 'sorce = ""\n'), 5, "unknown key 'sorce'", "did you mean source?"),
        (file(FULL, model=MODEL + 'inputs = ["smell"]\n'), 5, "inputs is ['smell']", "text, image, video"),
        (file(FULL, model=MODEL + "inputs = []\n"), 5, "inputs is []", "a list of some"),
        (file(FULL, model='[[models]]\nids = [\n"models/m"]\nsource = ""\n'), 4, "'models/m'", "a-z 0-9"),
        (file(FULL, model="[[models]]\nids = [1]\nsource = ''\n"), 3, "1 is no id", "a-z"),
        (HEAD + MODEL, 2, "prices is no list", "{ … }"),
        (HEAD + MODEL + "prices = []", 5, "prices is empty", "at least one row"),
        (HEAD + MODEL + "prices = [1]", 5, "prices is no list", "{ … }"),
        (file(FULL, 'tier = "gold", input = "1"'), 7, "tier is 'gold'; allowed: ", "standard, flex"),
        (file('tier = "bach", input = "1"'), 6, "tier is 'bach'; did you mean batch?", "standard"),
        (file('tier = 1, input = "1"'), 6, "tier is 1", "a text in quotes"),
        (file('input = "1"'), 6, "the row has no tier", "standard, flex"),
        (file(STANDARD), 6, "the row has no price", "at least one"),
        (file(f'{STANDARD}, inputs = "0.3"'), 6, "unknown key 'inputs'", "did you mean input?"),
        (file(f'{STANDARD}, output_smell = "0.3"'), 6, "unknown key 'output_smell'", "did you mean output"),
        (file(f'{STANDARD}, zzz = "0.3"'), 6, "unknown key 'zzz'", "tier, context, from, to, confidence"),
        (file(f'{STANDARD}, input = "0.0000001"'), 6, "input is '0.0000001'", "6 places"),
        (file(f'{STANDARD}, image_each = "0.0000000000001"'), 6, "image_each is", "12 places"),
        (file(f'{STANDARD}, grounding_maps_query = "1.0000000001"'), 6, "maps_query is", "9 places"),
        (file(f'{STANDARD}, input = "-1"'), 6, "input is '-1'", "dollars for 1M tokens"),
        (file(f'{STANDARD}, input = "1,5"'), 6, "input is '1,5'", '"0.30"'),
        (file(f"{STANDARD}, input = 0.3"), 6, "input is 0.3", "in quotes"),
        (file(f'{FULL}, confidence = "sure"'), 6, "confidence is 'sure'", "likely, doubtful"),
        (file(f'{FULL}, context = "200k"'), 6, "context is '200k'", '"<=200k"'),
        (file(f"{FULL}, context = 200"), 6, "context is 200", '">200k"'),
        (file(f'{FULL}, from = "1.1.2026"'), 6, "`from` is '1.1.2026'", '"2026-11-24"'),
        (file(f'{FULL}, from = "2026-02-30"'), 6, "`from` is '2026-02-30'", '"2026-11-24"'),
        (file(f'{FULL}, to = ""'), 6, "`to` is ''", '"2026-11-24"'),
        (file(f'{FULL}, from = "2026-01-02", to = "2026-01-02"'), 6, "never holds", "before"),
        (file(FULL, f'{STANDARD}, from = "2026-01-01", input_audio = "1"'), 7, "input_audio has", "line 6"),
        (file(FULL, FULL), 7, "input_text, input_image, input_video, input_audio have a price", "line 6"),
        (file(FULL) + file(FULL, head="", model='[[models]]\nids = ["n",\n "m"]\nsource = ""\n'), 10,
         "m is in line 3 too", "once"),
        (HEAD + "aliases = 1\n" + file(FULL, head=""), 2, "aliases is no table", "[aliases]"),
        (alias('{ from = "2026-01-01", model = "x" }'), 10, "'x' is no model", "[[models]]"),
        (alias('{ from = "2026-01-01", model = "m" }', '{ from = "2026-01-01", model = "m" }'), 11,
         "from 2026-01-01 is not after 2026-01-01", "ascend"),
        (alias('{ from = "2026-01-01", modl = "m" }'), 10, "unknown key 'modl'", "did you mean model?"),
        (alias("1"), 9, "l is no list of tables", "{ … }"),
        (alias('{ from = "2026-01-01" }'), 10, "model is missing", "a text in quotes"),
        (HEAD + '[aliases]\ng-9.5-x = [{ from = "2026-01-01", model = "m" }]\n' + file(FULL, head=""), 3,
         "g-9 is no alias", 'in quotes: "g-9.5-x"'),
        (HEAD + '[aliases]\nl = { from = "2026-01-01", model = "m" }\n' + file(FULL, head=""), 3,
         "l is no list of tables", "{ … }"),
        (alias('{ model = "m" }', '{ from = "2026-01-01", model = "m" }'), 10, "`from` is missing;", "a day"),
        (HEAD + '[aliases]\n"a b" = 1\n' + file(FULL, head=""), 3, "'a b' is no id", "a-z"),
    ],
)  # fmt: skip
def test_a_fault_names_its_line_what_is_there_and_what_is_allowed(
    text: str, line: int, named: str, allowed: str
) -> None:
    found = faults(text)
    (fault,) = [each for each in found if named in each]
    assert fault.startswith(f"line {line}: ")
    assert allowed in fault
    assert fault == found[0] or named in ("unknown key 'modl'", "the row has no tier")


def test_all_faults_of_a_file_are_told_in_the_order_of_its_lines() -> None:
    text = file('tier = "x", input = "1"', 'tier = "batch", imput = "1"', 'tier = "flex", to = "never"')
    text += '[[models]]\nids = ["M"]\nsorce = ""\n'
    assert [fault.partition(":")[0] for fault in faults(text)] == [
        "line 6", "line 7", "line 8", "line 10", "line 10", "line 11", "line 12",
    ]  # fmt: skip


JAN, FEB, MAR = (f'"2026-0{month}-01"' for month in (1, 2, 3))
UP_TO, ABOVE = 'context = "<=200k"', 'context = ">200k"'


@cases(
    ("rows", "line", "named"),
    [
        # a hole between two periods
        ([f"{FULL}, to = {JAN}", f"{FULL}, from = {FEB}"], 7, "from 2026-01-01 to 2026-02-01"),
        ([f"{FULL}, from = {FEB}", f"{FULL}, to = {JAN}"], 6, "from 2026-01-01 to 2026-02-01"),
        ([f"{FULL}, to = {JAN}", f"{FULL}, from = {JAN}"], 0, ""),
        # a component of the later row had none before
        ([f"{FULL}, to = {JAN}", f'{FULL}, from = {JAN}, output = "1"'], 0, ""),
        # only one component has the hole
        ([FULL, f'{STANDARD}, to = {JAN}, output = "1"', f'{STANDARD}, from = {FEB}, output = "2"'], 8,
         "prices output_text (standard) from"),
        # another tier does not fill it
        ([f"{FULL}, to = {JAN}", 'tier = "batch", input = "1"', f"{FULL}, from = {FEB}"], 8,
         "input_text, input_image, input_video, input_audio (standard)"),
        # half of the contexts
        ([f"{FULL}, {UP_TO}"], 6, "for prompts above 200,000 tokens"),
        ([f"{FULL}, {ABOVE}"], 6, "for prompts up to 200,000 tokens"),
        ([f'{FULL}, context = "<=0k"'], 6, "for prompts above 0 tokens"),
        ([f"{FULL}, {UP_TO}", f"{FULL}, {ABOVE}"], 0, ""),
        ([f"{FULL}, {UP_TO}, to = {JAN}", f"{FULL}, {UP_TO}, from = {JAN}"], 6, "above 200,000 tokens"),
        ([f"{FULL}, {UP_TO}", f'{FULL}, context = ">128k", from = {MAR}'], 6, "for prompts above"),
        ([f"{FULL}, {UP_TO}, to = {FEB}", f"{FULL}, {ABOVE}"], 7, "for prompts up to 200,000"),
        # the contexts of one period and another's whole
        ([f"{FULL}, to = {JAN}", f"{FULL}, {UP_TO}, from = {JAN}", f"{FULL}, {ABOVE}, from = {JAN}"], 0, ""),
        ([f"{FULL}, to = {JAN}", f"{FULL}, {UP_TO}, from = {FEB}", f"{FULL}, {ABOVE}, from = {FEB}"], 7,
         "from 2026-01-01 to 2026-02-01"),
    ],
)  # fmt: skip
def test_a_hole_in_a_price_is_a_fault(rows: list[str], line: int, named: str) -> None:
    if not line:
        assert Catalogue.parse(file(*rows)).find("m")
        return
    fault, *more = faults(file(*rows))
    assert fault.startswith(f"line {line}: nothing prices ")
    assert named in fault
    assert not any("nothing prices" in each for each in more)


BUILT_IN = load_catalogue()
WORDS = st.sampled_from(
    ["standard", "batch", "stndard", "<=200k", ">200k", "2026-01-01", "2026-02-01", "2026-13-01", "0.30",
     "-1", "1e9", "m", "*", "gemma-*", "gemini-2.5-flash", "text", "likely", "{}", "%s", "٣", "", "\n"]
)  # fmt: skip
ANYTHING = st.one_of(WORDS, st.integers(-1, 2), st.booleans(), st.lists(WORDS, max_size=2), st.just({}))


def table(*keys: str) -> Any:
    known = st.sampled_from([*keys, "x", "imput"])
    return st.dictionaries(known, ANYTHING, max_size=5)


ROWS = st.lists(
    table("tier", "context", "from", "to", "confidence", "input", "output_image", "image_each"), max_size=4
)
ENTRIES = st.lists(
    st.tuples(table("ids", "source", "note", "inputs", "prices"), ROWS, st.lists(WORDS, max_size=3)),
    max_size=3,
)


def inline(value: Any) -> str:
    """A value in TOML, which is JSON but for tables."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{json.dumps(key)} = {inline(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ",\n".join(inline(item) for item in value) + "]"
    return json.dumps(value)


@settings(max_examples=examples(40))
@given(
    table("version", "checked", "currency", "models", "aliases"),
    ENTRIES,
    st.dictionaries(WORDS, st.one_of(ANYTHING, st.lists(table("from", "model"), max_size=2)), max_size=2),
)
def test_whatever_a_file_holds_it_is_a_catalogue_or_told_line_by_line(
    top: Any, entries: Any, aliases: Any
) -> None:
    document = {"aliases": aliases, **top}
    if entries:
        document["models"] = [{"prices": rows, "ids": ids, **more} for more, rows, ids in entries]
    text = "".join(f"{key} = {inline(value)}\n" for key, value in document.items())
    fault_lines = [fault.line for fault in found_by(text)]
    assert all(1 <= line <= text.count("\n") + 1 for line in fault_lines)


def found_by(text: str) -> tuple[Fault, ...]:
    try:
        BUILT_IN.with_own(text)
    except CatalogueError as error:
        # One line for each
        return error.faults if len(str(error).splitlines()) == len(error.faults) else (Fault(-1, str(error)),)
    return ()
