"""`python -m tests.pricing.oracles` writes docs/prices.md."""

import sys
from pathlib import Path

# What the tests share is imported as they import it.
sys.path.insert(0, str(Path(__file__).parents[2]))

from pricing.oracles.document import prices_document

DOCUMENT = Path(__file__).parents[3] / "docs" / "prices.md"

if __name__ == "__main__":
    DOCUMENT.write_text(prices_document(), "utf-8")
