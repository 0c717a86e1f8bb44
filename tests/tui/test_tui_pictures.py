"""The pictures of the documents show the application as it is."""

from __future__ import annotations

import asyncio
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_the_pictures_are_those_of_the_application(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT))
    from tests.pictures import FOLDER, pictures

    made = asyncio.run(pictures())
    assert sorted(made) == sorted(path.stem for path in FOLDER.glob("*.svg"))
    for name, svg in made.items():
        # `python -m tests.pictures` writes them.
        assert svg == (FOLDER / f"{name}.svg").read_text(encoding="utf-8"), name
