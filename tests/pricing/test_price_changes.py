"""What a user's own prices change against the built-in ones."""

from __future__ import annotations

from datetime import date

from rig.cases import cases

from gatekeeper.pricing.catalogue import Catalogue
from gatekeeper.pricing.price_changes import PriceChange, changes
from gatekeeper.pricing.price_documents import changes_document

BUILT_IN = Catalogue.parse("""
checked = "2026-11-24"
[aliases]
latest = [{ from = "2026-06-01", model = "a" }]
[[models]]
ids = ["a", "b"]
source = "page"
prices = [
  { tier = "standard", to = "2026-03-01", input_text = "1", grounding_search_query = "14" },
  { tier = "standard", from = "2026-03-01", input_text = "2", grounding_search_query = "14" },
  { tier = "batch", input_text = "0.5" },
]
[[models]]
ids = ["free-*"]
source = "page"
prices = [{ tier = "standard", input_text = "0" }]
""")


def told(change: PriceChange) -> str:
    tariff, ids = change.tariff, ",".join(change.ids)
    starts, ends = ("" if day in (date.min, date.max) else str(day) for day in (tariff.starts, tariff.ends))
    context = f" {tariff.above}<{tariff.up_to or ''}" if tariff.above > 0 or tariff.up_to else ""
    return f"{ids} {tariff.tier}{context} {starts}..{ends} {change.component} {change.old} {change.new}"


def own(ids: str, *rows: str) -> str:
    return f"[[models]]\nids = [{ids}]\nprices = [{', '.join(f'{{ {row} }}' for row in rows)}]\n"


STANDARD = 'tier = "standard"'
CASES = {
    "the same price": (own('"a"', 'tier = "batch", input_text = "0.50"'), [], ()),
    "a price from a day on": (
        own('"a"', f'{STANDARD}, from = "2026-06-01", input_text = "3"'),
        ["a standard 2026-06-01.. input_text 2000000 3000000"],
        (),
    ),
    "over two periods of the built-in price": (
        own('"a"', f'{STANDARD}, from = "2026-01-01", to = "2026-06-01", input_text = "1"'),
        ["a standard 2026-03-01..2026-06-01 input_text 2000000 1000000"],
        (),
    ),
    "two of its own periods at one price are one": (
        own(
            '"a"',
            'tier = "batch", to = "2026-02-01", input_text = "9", output_text = "1"',
            'tier = "batch", from = "2026-02-01", input_text = "9", output_text = "2"',
        ),
        [
            "a batch .. input_text 500000 9000000",
            "a batch ..2026-02-01 output_text None 1000000",
            "a batch 2026-02-01.. output_text None 2000000",
        ],
        (),
    ),
    "a context of its own": (
        own('"b"', 'tier = "batch", context = ">200k", input_text = "9"'),
        ["b batch 200000< .. input_text 500000 9000000"],
        (),
    ),
    "what has no tier, in each": (
        own('"b", "a"', f'{STANDARD}, from = "2026-03-01", grounding_search_query = "7"'),
        [
            "a,b standard 2026-03-01.. grounding_search_query 14000000000 7000000000",
            "a,b batch 2026-03-01.. grounding_search_query 14000000000 7000000000",
        ],
        (),
    ),
    "a new model": (
        own('"new", "new-*"', 'tier = "flex", image_each = "0.04"'),
        ["new,new-* flex .. image_each None 40000000000"],
        ("new", "new-*"),
    ),
    "one of a glob's": (
        own('"free-x"', f'{STANDARD}, input_text = "1"'),
        ["free-x standard .. input_text 0 1000000"],
        (),
    ),
}


@cases(("text", "expected", "added"), CASES.values(), ids=CASES.keys())
def test_each_price_that_changes_is_told_once(text: str, expected: list[str], added: tuple[str, ...]) -> None:
    found = changes(BUILT_IN, BUILT_IN.with_own(text))
    assert [told(change) for change in found.prices] == expected
    assert (found.added, found.aliases) == (added, ())


def test_aliases_that_change() -> None:
    steps = '[{ from = "2026-05-01", model = "b" }, { from = "2026-06-01", model = "a" }]'
    found = changes(BUILT_IN, BUILT_IN.with_own(f"[aliases]\nlatest = {steps}\nmine = {steps}"))
    assert [(each.alias, str(each.starts), each.old, each.new) for each in found.aliases] == [
        ("latest", "2026-05-01", "latest", "b"),
        ("mine", "2026-05-01", "mine", "b"),
        ("mine", "2026-06-01", "mine", "a"),
    ]


def test_the_document_has_dollars_for_the_unit() -> None:
    text = own('"a", "new"', f'{STANDARD}, from = "2026-03-01", grounding_search_query = "7"')
    document = changes_document(
        changes(BUILT_IN, BUILT_IN.with_own(text + "[aliases]\nl = [{ from = 2026-01-01, model = 'a' }]"))
    )
    assert document["models_added"] == ("new",)
    assert document["prices"][0] == {  # type: ignore[index]
        "models": ("a",),
        "component": "grounding_search_query",
        "tier": "standard",
        "from": date(2026, 3, 1),
        "to": None,
        "prompt_above": None,
        "prompt_up_to": None,
        "unit": "per_1k",
        "old_usd": "14.000000000000",
        "new_usd": "7.000000000000",
    }
    assert [price["old_usd"] for price in document["prices"]] == ["14.000000000000"] * 2 + [None]  # type: ignore[union-attr]
    assert document["aliases"] == [{"alias": "l", "from": date(2026, 1, 1), "old": "l", "new": "a"}]
