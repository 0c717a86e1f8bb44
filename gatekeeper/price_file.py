"""The price catalogue's file: `data/prices.toml` of a checkout, or the copy inside an installed wheel."""

from __future__ import annotations

from pathlib import Path

from gatekeeper.pricing.catalogue import Catalogue, CatalogueError

CATALOGUE_PATHS = (
    Path(__file__).parent / "data" / "prices.toml",  # a wheel
    Path(__file__).parents[1] / "data" / "prices.toml",  # a checkout
)


def load_catalogue() -> Catalogue:
    """The catalogue. Raises FileNotFoundError, or CatalogueError that names file and entry."""
    for path in CATALOGUE_PATHS:
        if path.exists():
            return _read(path)
    raise FileNotFoundError(
        "data/prices.toml is missing: install gatekeeper again, or check out the complete project"
    )


def _read(path: Path) -> Catalogue:
    try:
        return Catalogue.parse(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise CatalogueError(f"{path}: it cannot be read ({error.strerror})") from None
    except ValueError as error:  # CatalogueError; invalid UTF-8; an integer with too many digits
        raise CatalogueError(f"{path}: {error}") from None
