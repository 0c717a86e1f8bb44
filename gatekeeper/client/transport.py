"""httpx2's transport, loaded without what a client of the admin API does not use.

Where they are installed it also loads trio and h2, which takes a fifth of the start of every client command;
the client runs on asyncio and speaks HTTP/1.1.
"""

from __future__ import annotations

import sys
from collections.abc import Generator, MutableMapping
from contextlib import contextmanager
from types import ModuleType
from typing import cast

UNUSED = ("trio", "h2")


@contextmanager
def hidden(*names: str) -> Generator[None]:
    """Importing these modules fails as if they were not installed; those that are loaded stay."""
    # None in `sys.modules` has this meaning to Python.
    modules = cast("MutableMapping[str, ModuleType | None]", sys.modules)
    blocked = [name for name in names if name not in modules]
    modules.update(dict.fromkeys(blocked))
    try:
        yield
    finally:
        for name in blocked:
            del modules[name]


def load_transport() -> None:
    """Loads it, once; httpx2 does so when the first client is made."""
    with hidden(*UNUSED):
        import httpcore2  # noqa: F401  # pyright: ignore[reportUnusedImport]
