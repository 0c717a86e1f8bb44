"""The query of a list: what is taken out of it, and what is put back for another page."""

from __future__ import annotations

import pytest
from rig.cases import cases

from gatekeeper.gemini.list_paging import BadListQuery, parse_list_query


@cases(
    ("query", "size", "token", "others"),
    [
        (b"", None, None, ()),
        (b"pageSize=10&pageToken=a%3D%3D", 10, "a==", ()),
        (b"page_size=10&page_token=t", 10, "t", ()),
        (b"page%53ize=10", 10, None, ()),
        (b"pageSize=0&pageToken=", None, None, ()),
        (b"pageSize=", None, None, ()),
        (
            b"filter=a%20b&prettyPrint=false&pageSize=3&&x",
            3,
            None,
            (b"filter=a%20b", b"prettyPrint=false", b"x"),
        ),
        (b"$alt=json;enum-encoding=int", None, None, (b"$alt=json;enum-encoding=int",)),
        (b"limit=3&after=b", None, None, (b"limit=3", b"after=b")),
    ],
)
def test_native(query: bytes, size: int | None, token: str | None, others: tuple[bytes, ...]) -> None:
    found = parse_list_query(query, is_openai=False)
    assert (found.size, found.token, found.others) == (size, token, others)


@pytest.mark.parametrize(
    ("query", "size", "token"),
    [(b"", None, None), (b"limit=3&after=b", 3, "b"), (b"pageSize=9&pageToken=t", None, None)],
)
def test_openai(query: bytes, size: int | None, token: str | None) -> None:
    found = parse_list_query(query, is_openai=True)
    assert (found.size, found.token) == (size, token)


@cases(
    "query",
    [
        b"fields=files(name)",
        b"$fields=nextPageToken",
        b"%24fields=files",
        b"alt=proto",
        b"$alt=proto",
        b"alt=media",
        b"alt=sse",
        b"$alt=sse",
        b"%61lt=sse",
        b"callback=f",
        b"$httpMethod=POST",
        b"pageSize=1&pageSize=2",
        b"pageSize=1&page_size=2",
        b"pageToken=a&page_token=b",
        b"PageToken=a",
        b"page-token=a",
        b"pageSize=-1",
        b"pageSize=1.5",
        b"pageSize=1e3",
        b"pageSize=9999999",
        b"pageSize=99999999999999999999",
        "pageSize=²".encode(),
        b"before=b",
    ],
)
def test_what_cannot_be_filtered(query: bytes) -> None:
    with pytest.raises(BadListQuery):
        parse_list_query(query, is_openai=False)


@cases(
    ("query", "is_openai", "snake_case", "written"),
    [
        (b"", False, False, b"pageSize=5&pageToken=a%2Bb%3D"),
        (b"", False, True, b"page_size=5&page_token=a%2Bb%3D"),
        (b"x=1&page_size=2", False, False, b"x=1&page_size=5&pageToken=a%2Bb%3D"),
        (b"page%53ize=2", False, True, b"pageSize=5&page_token=a%2Bb%3D"),
        (b"order=asc", True, False, b"order=asc&limit=5&after=a%2Bb%3D"),
    ],
)
def test_another_page(query: bytes, is_openai: bool, snake_case: bool, written: bytes) -> None:
    assert parse_list_query(query, is_openai=is_openai).at(5, "a+b=", snake_case=snake_case) == written


def test_the_first_page_of_googles_own_size() -> None:
    assert parse_list_query(b"pageSize=5&x=1", is_openai=False).at(None, None, snake_case=False) == b"x=1"
