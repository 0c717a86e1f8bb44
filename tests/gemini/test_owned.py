"""Which resource a name belongs to."""

from __future__ import annotations

import pytest

from gatekeeper.gemini.owned import root_of

ROOTS = {
    "files/x": "files/x",
    "cachedContents/c": "cachedContents/c",
    "fileSearchStores/s": "fileSearchStores/s",
    "fileSearchStores/s/documents/d": "fileSearchStores/s",
    "fileSearchStores/s/upload/operations/o": "fileSearchStores/s",
    "corpora/c/documents/d/chunks/k": "corpora/c",
    "tunedModels/t/operations/o": "tunedModels/t",
    "triggers/t/executions/e": "triggers/t",
    "environments/e/files/a/b": "environments/e",
    "models/veo/operations/o": "models/veo/operations/o",
    "operations/a/b": "operations/a/b",
    "models/gemini": None,
    "models/gemini/operations": None,
    "dynamic/d": None,
    "files": None,
    "files/": None,
    "": None,
}


@pytest.mark.parametrize(("name", "root"), ROOTS.items(), ids=[name or "nothing" for name in ROOTS])
def test_a_name_has_the_root_that_has_an_owner(name: str, root: str | None) -> None:
    assert root_of(name) == root
