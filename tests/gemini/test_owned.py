"""Which resource a name belongs to."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from rig.cases import cases

from gatekeeper.gemini.owned import NOTHING, UNCLEAR, Named, named_in_path, root_of

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
    assert root_of(name) == root


NAMED = {
    "/v1beta/files": NOTHING,
    "/v1beta/files/x": Named("files/x"),
    "/v1/files/x:download": Named("files/x"),
    "//v1beta//files/x/": Named("files/x"),
    "/v1beta/%66iles/x": Named("files/x"),
    "/download/v1beta/files/x:download": Named("files/x"),
    "/upload/v1beta/files": NOTHING,
    "/upload/v1beta/fileSearchStores/s:uploadToFileSearchStore": Named("fileSearchStores/s"),
    "/v1beta/fileSearchStores/s/documents": Named("fileSearchStores/s"),
    "/v1beta/environments/e/files/a b": Named("environments/e"),
    "/v1beta/models/m:generateContent": NOTHING,
    "/v1beta/models/m/operations": NOTHING,
    "/v1beta/models/m/operations/o": Named("models/m/operations/o"),
    "/v1beta/tunedModels/t:batchGenerateContent": Named("tunedModels/t"),
    "/v1beta/models/tunedModels/t:generateContent": Named("tunedModels/t"),
    "/v1beta/interactions/i/cancel": Named("interactions/i"),
    "/v1beta/novelties/n": Named("novelties/n"),
    "/v1beta/openai/chat/completions": NOTHING,
    "/v1beta/openai/models/models/m": NOTHING,
    "/v1beta/openai/batches/b": Named("batches/b"),
    "/v1beta/openai/batches/batches%2Fb": Named("batches/b"),
    "/v1beta/openai/files/files/f/content": Named("files/f"),
    "/v1beta/openai/videos/models/m/operations/o": Named("models/m/operations/o"),
    "/v1beta/openai/videos/v": Named("videos/v"),
    "/v1beta/openai/vector_stores/v/files/f": Named("vector_stores/v"),
    "/v1beta/openai/responses/r": Named("responses/r"),
    "/$discovery/rest": NOTHING,
    "/ws/google.ai.generativelanguage.v1beta.GenerativeService.BidiGenerateContent": NOTHING,
    "/../v1beta/files/x": NOTHING,
    "/v1beta/files/x;y": UNCLEAR,
    "/v1beta/files/y/../x": UNCLEAR,
    "/v1beta/files/y%2F..%2Fx": UNCLEAR,
    "/v1beta/files/%2578": UNCLEAR,
    "/v1beta\\files/x": UNCLEAR,
    "/v1beta/files/x%00": UNCLEAR,
    "/v1beta/files/\u017f": UNCLEAR,
}


@cases(("path", "named"), NAMED.items())
def test_a_path_names_one_resource_for_all_who_read_it(path: str, named: Named) -> None:
    assert named_in_path(path.encode()) == named


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
    assert named_in_path(path.encode()) in (Named("files/victim"), UNCLEAR)
