"""Which resource a name belongs to."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from rig.cases import cases

from gatekeeper.gemini.resource_names import (
    AMBIGUOUS,
    NO_RESOURCE,
    OwnedResource,
    owned_resource,
    owned_resource_in_path,
)

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
    "generatedFiles/x": "files/x",
    "generatedFiles/x/operations/o": "files/x",
    "models/gemini": None,
    "models/gemini/operations": None,
    "dynamic/d": None,
    "files": None,
    "files/": None,
    "": None,
}


@cases(("name", "root"), ROOTS.items(), ids=[name or "nothing" for name in ROOTS])
def test_a_name_has_the_root_that_has_an_owner(name: str, root: str | None) -> None:
    assert owned_resource(name) == root


NAMED = {
    "/v1beta/files": NO_RESOURCE,
    "/v1beta/files/x": OwnedResource("files/x"),
    "/v1/files/x:download": OwnedResource("files/x"),
    "//v1beta//files/x/": OwnedResource("files/x"),
    "/v1beta/%66iles/x": OwnedResource("files/x"),
    "/download/v1beta/files/x:download": OwnedResource("files/x"),
    "/upload/v1beta/files": NO_RESOURCE,
    "/upload/v1beta/fileSearchStores/s:uploadToFileSearchStore": OwnedResource("fileSearchStores/s"),
    "/v1beta/fileSearchStores/s/documents": OwnedResource("fileSearchStores/s"),
    "/v1beta/environments/e/files/a b": OwnedResource("environments/e"),
    "/v1beta/models/m:generateContent": NO_RESOURCE,
    "/v1beta/models/m/operations": NO_RESOURCE,
    "/v1beta/models/m/operations/o": OwnedResource("models/m/operations/o"),
    "/v1beta/tunedModels/t:batchGenerateContent": OwnedResource("tunedModels/t"),
    "/v1beta/models/tunedModels/t:generateContent": OwnedResource("tunedModels/t"),
    "/v1beta/interactions/i/cancel": OwnedResource("interactions/i"),
    "/v1beta/novelties/n": OwnedResource("novelties/n"),
    "/v1beta/openai/chat/completions": NO_RESOURCE,
    "/v1beta/openai/models/models/m": NO_RESOURCE,
    "/v1beta/openai/batches/b": OwnedResource("batches/b"),
    "/v1beta/openai/batches/batches%2Fb": OwnedResource("batches/b"),
    "/v1beta/openai/files/files/f/content": OwnedResource("files/f"),
    "/v1beta/openai/videos/models/m/operations/o": OwnedResource("models/m/operations/o"),
    "/v1beta/openai/videos/v": OwnedResource("videos/v"),
    "/v1beta/openai/vector_stores/v/files/f": OwnedResource("vector_stores/v"),
    "/v1beta/openai/responses/r": OwnedResource("responses/r"),
    "/$discovery/rest": NO_RESOURCE,
    "/ws/google.ai.generativelanguage.v1beta.GenerativeService.BidiGenerateContent": NO_RESOURCE,
    "/../v1beta/files/x": NO_RESOURCE,
    "/v1beta/files/x;y": AMBIGUOUS,
    "/v1beta/files/y/../x": AMBIGUOUS,
    "/v1beta/files/y%2F..%2Fx": AMBIGUOUS,
    "/v1beta/files/%2578": AMBIGUOUS,
    "/v1beta\\files/x": AMBIGUOUS,
    "/v1beta/files/x%00": AMBIGUOUS,
    "/v1beta/files/\u017f": AMBIGUOUS,
}


@cases(("path", "named"), NAMED.items())
def test_a_path_names_one_resource_for_all_who_read_it(path: str, named: OwnedResource) -> None:
    assert owned_resource_in_path(path.encode()) == named


@st.composite
def spellings(draw: st.DrawFn) -> str:
    """A path of `files/victim`, as a server might read it that decodes and normalizes it once or more."""
    pieces: list[str] = []
    for segment in ("v1beta", "files", "victim"):
        pieces.append(draw(st.sampled_from(["", "/", "/.", "/x/..", "/%2e", "/x/%2E%2e", "\\"])))
        separator = draw(st.sampled_from(["/", "%2F", "%252f"])) if pieces[1:] else "/"
        encode = draw(st.sampled_from([0, 0, 1, 2]))
        letters = [
            f"%{'25' * (encode - 1)}{ord(c):02x}" if encode and draw(st.booleans()) else c for c in segment
        ]
        pieces.append(separator + "".join(letters))
    return "".join(pieces) + draw(st.sampled_from(["", "/", ":download", "%3Adownload", "/."]))


@given(spellings())
def test_no_spelling_hides_what_a_path_names(path: str) -> None:
    assert owned_resource_in_path(path.encode()) in (OwnedResource("files/victim"), AMBIGUOUS)
