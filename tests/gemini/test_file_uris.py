"""The file that a URI names."""

from __future__ import annotations

from rig.cases import cases

from gatekeeper.gemini.resource_names import file_of

FILES = {
    "files/x": "files/x",
    " files/x": "files/x",
    "/files/x": "files/x",
    "Files//x": "files/x",
    "https://generativelanguage.googleapis.com/v1beta/files/x": "files/x",
    "https://generativelanguage.googleapis.com/v1beta/files/x:download?alt=media": "files/x",
    "https://generativelanguage.googleapis.com/v1beta/files/x#y": "files/x",
    "http://127.0.0.1:4000/gemini/v1/files/x": "files/x",
    "https://generativelanguage.googleapis.com/v1beta/%66iles%2Fx": "files/x",
    "https://generativelanguage.googleapis.com/v1beta%252Ffiles/x": "files/x",
    "https:\\\\generativelanguage.googleapis.com\\v1alpha\\files\\x": "files/x",
    "https://generativelanguage.googleapis.com/v1beta//files/x,y": "files/x,y",
    "files/" + "%2525252525252578": "files/%2525252525252578".replace("%25252525252525", "%2525"),
    "https://generativelanguage.googleapis.com/v1beta/x/../files/y": "files/…",
    "https://generativelanguage.googleapis.com/v1beta/files/x/../y": "files/…",
    "https://generativelanguage.googleapis.com/v1beta/x%2F%2e%2e/files/y": "files/…",
    "v1/../files/y": "files/…",
    "https://example.com/a/../files/x.pdf": None,
    "gs://bucket/files/x": None,
    "https://storage.googleapis.com/bucket/files/x.pdf": None,
    "https://www.youtube.com/watch?v=files": None,
    "https://example.com/files/x": None,
    "profiles/x": None,
    "data:image/png;base64,QUJD": None,
    "files/": None,
    "files": None,
    "": None,
}


@cases(("uri", "file"), FILES.items())
def test_a_uri_names_a_file_of_googles_or_none(uri: str, file: str | None) -> None:
    assert file_of(uri) == file
