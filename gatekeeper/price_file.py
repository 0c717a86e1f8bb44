"""Where the price catalogue lies: `data/prices.toml` of a checkout, or the copy inside an installed wheel."""

from __future__ import annotations

from pathlib import Path

from gatekeeper.pricing.catalogue import Catalogue, CatalogueError

PLACES = (
    Path(__file__).parent / "data" / "prices.toml",  # a wheel
    Path(__file__).parents[1] / "data" / "prices.toml",  # a checkout
)


def load_catalogue() -> Catalogue:
    """The catalogue in force. Raises FileNotFoundError, or CatalogueError that names file and entry."""
    for place in PLACES:
        if place.exists():
            return _read(place)
    raise FileNotFoundError(
        "data/prices.toml is missing: install gatekeeper again, or check out the whole project"
    )


def _read(place: Path) -> Catalogue:
    try:
        return Catalogue.parse(place.read_text(encoding="utf-8"))
    except OSError as fault:
        raise CatalogueError(f"{place}: it cannot be read ({fault.strerror})") from None
    except ValueError as fault:  # CatalogueError; of UTF-8; or of an integer that has no end
        raise CatalogueError(f"{place}: {fault}") from None
