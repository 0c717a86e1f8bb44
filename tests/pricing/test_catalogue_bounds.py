"""What a catalogue says at the first and last day of a price or an alias, and for patterns of ids."""

from __future__ import annotations

from datetime import date

from rig.cases import cases

from gatekeeper.pricing.catalogue import Catalogue
from gatekeeper.pricing.price_documents import bounds_document, catalogue_document
from gatekeeper.pricing.tariff import Tariff

HEAD = """
version = "1"
checked = "2026-11-24"
currency = "USD"
"""
CATALOGUE = Catalogue.parse(
    HEAD
    + """
[aliases]
latest = [{ from = "2026-01-01", model = "text-1" }, { from = "2026-10-01", model = "text-2" }]

[[models]]
ids = ["text-1", "text-*"]
source = "invented"
prices = [{ tier = "standard", input = "1", output = "10", from = "2026-07-01", to = "2026-08-01" }]

[[models]]
ids = ["text-2"]
source = "invented"
prices = [{ tier = "standard", input = "2", output = "20" }]
"""
)


@cases(
    ("day", "shown"),
    [
        (date(2026, 6, 30), 0),
        (date(2026, 7, 1), 1),
        (date(2026, 7, 31), 1),
        (date(2026, 8, 1), 0),
        (None, 1),
    ],
)
def test_the_document_of_a_day_has_what_holds_on_it(day: date | None, shown: int) -> None:
    document = catalogue_document(CATALOGUE, CATALOGUE.find("text-1"), day)
    assert len(document["models"][0]["prices"]) == shown


def test_a_bound_of_0_tokens_is_a_bound() -> None:
    bounds = bounds_document(Tariff(tier="standard", prices={}, above=0))
    assert (bounds["prompt_above"], bounds["prompt_up_to"]) == (0, None)
    assert bounds_document(Tariff(tier="standard", prices={}))["prompt_above"] is None


@cases(
    ("steps", "day", "model"),
    [
        ("[]", date(2026, 10, 1), "text-2"),
        ('[{ from = "2026-08-01", model = "text-3" }]', date(2026, 7, 31), "text-1"),
        ('[{ from = "2026-08-01", model = "text-3" }]', date(2026, 8, 1), "text-3"),
        # What the built-in file says of later days is over.
        ('[{ from = "2026-08-01", model = "text-3" }]', date(2026, 10, 1), "text-3"),
        ('[{ from = "2026-10-01", model = "text-3" }]', date(2026, 10, 1), "text-3"),
    ],
)
def test_an_own_alias_goes_on_from_its_first_day(steps: str, day: date, model: str) -> None:
    assert CATALOGUE.with_own(f"[aliases]\nlatest = {steps}").resolve_alias("latest", day) == model


@cases(
    ("name", "sources"),
    [("text-1", 1), ("models/text-9", 1), ("text-*", 2), ("*-2", 1), ("nothing-*", 0), ("nothing", 0)],
)
def test_the_entries_of_an_id_or_a_pattern(name: str, sources: int) -> None:
    assert len(CATALOGUE.models_of(name)) == sources
