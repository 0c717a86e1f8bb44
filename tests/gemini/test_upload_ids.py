"""The upload ids in a query."""

from __future__ import annotations

from urllib.parse import quote

from hypothesis import given
from hypothesis import strategies as st
from rig.cases import cases

from gatekeeper.gemini.sessions import upload_ids, without_upload_ids


@cases(
    ("query", "ids"),
    [
        ("", []),
        ("alt=json", []),
        ("upload_protocol=resumable&my_upload_id=A", []),
        ("upload_id=A%2B+b", ["A+ b"]),
        ("a=b&upload_id=A&upload_id=B", ["A", "B"]),
        ("upload%5Fid=A", ["A"]),
        ("Upload_ID=A", ["A"]),
        ("upload%255fid=A&uploadId=B&upload-id=C&up%6coad.id=D", ["A", "B", "C", "D"]),
        ("upload_id=", [""]),
    ],
)
def test_upload_ids(query: str, ids: list[str]) -> None:
    assert upload_ids(query.encode()) == ids
    assert (without_upload_ids(query.encode()).decode() == query) == (not ids)


@given(
    st.lists(st.tuples(st.text(st.characters(codec="ascii")), st.text(st.characters(codec="ascii")))),
    st.sampled_from(["upload_id", "UPLOAD_ID", "uploadId", "upload%5fid"]),
    st.text(st.characters(codec="ascii")),
)
def test_an_id_is_found_among_other_parameters(others, name: str, value: str) -> None:
    pairs = [f"{quote(key)}={quote(text)}" for key, text in others]
    before = upload_ids("&".join(pairs).encode())
    assert upload_ids(without_upload_ids("&".join([*pairs, name]).encode())) == []
    assert upload_ids("&".join([*pairs, f"{name}={quote(value)}"]).encode()) == [*before, value]
