"""Where the price catalogue lies: `data/prices.toml` of a checkout, or the copy inside an installed wheel."""

from __future__ import annotations

from pathlib import Path

from gatekeeper.gemini.catalogue import Catalogue

PLACES = (
    Path(__file__).parent / "data" / "prices.toml",  # a wheel
    Path(__file__).parents[1] / "data" / "prices.toml",  # a checkout
)


def load_catalogue() -> Catalogue:
    """The catalogue in force. Raises FileNotFoundError, or CatalogueError that names the faulty entry."""
    for place in PLACES:
        if place.exists():
            return Catalogue.parse(place.read_text(encoding="utf-8"))
    raise FileNotFoundError(
        "data/prices.toml is missing: install gatekeeper again, or check out the whole project"
    )
