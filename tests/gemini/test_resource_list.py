"""Lists of resources: which routes have one, what is read of a page, and what is written of it."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rig.cases import cases

from gatekeeper.gemini.resource_list import (
    ListKind,
    ListPage,
    UnreadableList,
    list_kind,
    position_name,
    read_page,
    write_page,
)
from gatekeeper.gemini.resource_names import NO_RESOURCE, owned_resource_in_path
from gatekeeper.gemini.routes import route

FILES = ListKind("files", is_openai=False)
WEBHOOKS = ListKind("webhooks", is_openai=False)
OPENAI = ListKind("batches", is_openai=True)
METHODS = Path(__file__).with_name("methods.tsv")

PRETTY = b"""{
  "files": [
    {
      "name": "files/a",
      "displayName": "\\u00e9 \\" ] }",
      "sizeBytes": "12"
    },
    {
      "name": "files/b"
    }
  ],
  "nextPageToken": "Cg9maWxlcy9i"
}
"""
COMPACT = (
    b'{"object":"list","data":[{"id":"batches/a","n":1.50},{"id":"b"}],'
    b'"first_id":"batches/a","last_id":"b","has_more":true}'
)


@cases(
    ("method", "path", "kind"),
    [
        ("GET", b"/v1beta/files", FILES),
        ("HEAD", b"/v1/files", FILES),
        ("GET", b"/v1beta//%66iles/", FILES),
        ("GET", b"/download/v1beta/files", FILES),
        ("GET", b"/upload/v1beta/files", FILES),
        ("GET", b"/v1beta/files:list", FILES),
        ("POST", b"/v1beta/files:list", FILES),
        ("GET", b"/v1beta/files:search", FILES),
        ("POST", b"/v1beta/files:register", None),
        ("GET", b"/v1alpha/auth_tokens/t", None),
        ("GET", b"/v1beta/openai/-", ListKind("", is_openai=True)),
        ("DELETE", b"/v1beta/openai/-", None),
        ("GET", b"/v1beta/models:list", None),
        ("GET", b"/$discovery/rest", None),
        ("GET", b"/v1beta/models/m/operations", ListKind("operations", is_openai=False)),
        ("GET", b"/v1beta/novelties", ListKind("novelties", is_openai=False)),
        ("GET", b"/v1beta/corpora/-/documents", ListKind("documents", is_openai=False)),
        ("GET", b"/v1beta/openai/batches", OPENAI),
        ("GET", b"/v1beta/models", None),
        ("GET", b"/v1beta/openai/models", None),
        ("GET", b"/v1beta/files/x", None),
        ("GET", b"/v1beta/corpora/c/documents", None),
        ("GET", b"/v1beta/tunedModels/t/operations", None),
        ("POST", b"/v1beta/files", None),
        ("POST", b"/upload/v1beta/files", None),
        ("GET", b"/", None),
        ("GET", b"/v1beta/models/m:generateContent", None),
    ],
)
def test_what_a_route_lists(method: str, path: bytes, kind: ListKind | None) -> None:
    assert list_kind(method, route(method, path, b"")) == kind


def test_every_list_of_google_is_filtered_or_belongs_to_one_parent() -> None:
    lists = [line.split("\t") for line in METHODS.read_text().splitlines() if ".list\t" in line]
    assert len(lists) > 20
    for _, method, path, action, _, resource in lists:
        found = list_kind(method, route(method, path.replace("{v}", "v1beta").encode(), b""))
        of_all = action in ("models.list", "openai.models.list")
        assert (found is None) == (of_all or resource != "-"), path


@cases(
    ("kind", "document", "names", "token"),
    [
        (FILES, PRETTY, ["files/a", "files/b"], "Cg9maWxlcy9i"),
        (OPENAI, COMPACT, ["batches/a", "batches/b"], "b"),
        (OPENAI, b'{"data": [{"id": "b"}], "has_more": false}', ["batches/b"], None),
        (OPENAI, b'{"data": [{"name": "batches/x"}], "has_more": true}', ["batches/x"], None),
        (OPENAI, b'{"data": [], "has_more": true}', [], None),
        (WEBHOOKS, b'{"webhooks":[{"id":"w","name":"files/x"}],"next_page_token":"t"}', ["webhooks/w"], "t"),
        (FILES, b"{}\n", [], None),
        (FILES, b'{"files": [], "nextPageToken": ""}', [], None),
        (FILES, b'{"files": [], "nextPageToken": null}', [], None),
        (FILES, b'{"unreachable": ["files/secret"]}', [], None),
        (
            FILES,
            b'{"unreachable": ["files/x"], "files": [{"name": "files/a"}], "total": {}}',
            ["files/a"],
            None,
        ),
        (
            ListKind("operations", is_openai=False),
            b'{"operations": [{"name": "models/m/operations/o", "done": true}]}',
            ["models/m/operations/o"],
            None,
        ),
    ],
)
def test_what_is_read_of_a_page(kind: ListKind, document: bytes, names: list[str], token: str | None) -> None:
    page = read_page(document, kind)
    assert [item.name for item in page.items] == names
    assert page.next_token == token


@cases(
    "document",
    [
        b"",
        b"\xff\xfe",
        b"data: {}\n\n",
        b"[]",
        b'"files"',
        b'{"files": [{"name": "files/a"}',
        b'{"files": [{"name": "files/a"}]} {"files": []}',
        b'{"files": [{"displayName": "a"}]}',
        b'{"files": [{"name": "a"}]}',
        b'{"files": [{"name": "files/a"}, "files/b"]}',
        b'{"files": [{"name": "files/a"}], "others": [{"name": "files/b"}]}',
        b'{"response": {"files": [{"name": "files/a"}]}}',
        b'{"files": [{"name": "files/a"}], "nextPageToken": 5}',
        b'{"files": [' + b"[" * 100_000,
    ],
)
def test_another_form_is_not_understood(document: bytes) -> None:
    with pytest.raises(UnreadableList):
        read_page(document, FILES)


@cases(
    ("kind", "document"),
    [
        (FILES, PRETTY),
        (FILES, b"{}\n"),
        (FILES, b'{"files":[{"name":"files/a"}],"nextPageToken":"t"}'),
        (FILES, b'{\n  "nextPageToken": "t"\n}\n'),
        (WEBHOOKS, b'{"webhooks":[{"id":"w"}],"next_page_token":"t"}'),
        (OPENAI, COMPACT),
        (OPENAI, b'{"object":"list","data":[],"first_id":null,"last_id":null,"has_more":false}'),
    ],
)
def test_a_page_of_all_its_items_is_byte_for_byte_the_same(kind: ListKind, document: bytes) -> None:
    page = read_page(document, kind)
    assert write_page(page, page.items, kind, page.next_token) == document


def test_items_are_left_out_and_the_rest_stays_as_it_was() -> None:
    page = read_page(PRETTY, FILES)
    assert write_page(page, page.items[1:], FILES, "T").decode() == (
        '{\n  "files": [\n    {\n      "name": "files/b"\n    }\n  ],\n  "nextPageToken": "T"\n}\n'
    )
    assert write_page(page, (), FILES, None) == b"{}\n"
    assert write_page(page, page.items, FILES, None).count(b'"') == PRETTY.count(b'"') - 4


def test_what_else_a_page_has_may_be_about_the_others() -> None:
    document = (
        b'{"totalSize": 7, "files": [{"name": "files/a"}], "unreachable": ["files/x"], "more": {"a": 1}}'
    )
    page = read_page(document, FILES)
    assert write_page(page, page.items, FILES, None) == b'{"files":[{"name": "files/a"}]}'


@pytest.mark.parametrize(("count", "end"), [(1, b'"batches/a"'), (0, b"null")])
def test_openai_pages_say_their_ends(count: int, end: bytes) -> None:
    page = read_page(COMPACT, OPENAI)
    data = b",".join(item.text for item in page.items[:count])
    written = b'{"object":"list","data":[%b],"first_id":%b,"last_id":%b,"has_more":false}' % (data, end, end)
    assert write_page(page, page.items[:count], OPENAI, None) == written


def test_an_openai_page_without_has_more_gets_one_if_there_is_more() -> None:
    page = read_page(b'{"data":[{"id":"a"},{"id":"b"}]}', OPENAI)
    assert write_page(page, page.items[:1], OPENAI, "a") == b'{"data":[{"id":"a"}],"has_more":true}'


def test_a_page_without_items_can_be_the_form_of_one_with_them() -> None:
    page = read_page(PRETTY, FILES)
    form = read_page(b'{\n  "nextPageToken": "t"\n}\n', FILES)
    assert [*json.loads(write_page(form, page.items, FILES, "T"))] == ["nextPageToken", "files"]


NAMES = st.text(st.sampled_from("abc01-"), min_size=1, max_size=5)
VALUES = st.none() | st.integers() | st.text(max_size=5) | st.lists(st.dictionaries(NAMES, NAMES), max_size=2)
ITEMS = st.lists(st.tuples(NAMES, st.dictionaries(NAMES, VALUES, max_size=2), st.booleans()), max_size=5)


@given(ITEMS, st.sampled_from([None, 2]), st.none() | st.text(min_size=1, max_size=5))
def test_exactly_the_chosen_items_are_written(
    items: list[tuple[str, dict[str, object], bool]], indent: int | None, token: str | None
) -> None:
    documents = [{**more, "name": f"files/{name}"} for name, more, _ in items]
    whole = {**({"files": documents} if documents else {}), **({"nextPageToken": token} if token else {})}
    page = read_page(json.dumps(whole, indent=indent).encode(), FILES)
    assert page.next_token == token
    chosen = [item for item, (_, _, is_chosen) in zip(page.items, items, strict=True) if is_chosen]
    text = write_page(page, chosen, FILES, token)
    written = json.loads(text)
    assert written.get("files", []) == [json.loads(item.text) for item in chosen]
    assert written.get("nextPageToken") == token
    assert all(item.text in text for item in chosen)


SEGMENTS = st.sampled_from(
    [
        "files", "batches", "cachedContents", "models", "tunedModels", "corpora", "documents", "operations",
        "openai", "dynamic", "x", "-", "%66iles", "fileSearchStores", "upload", "environments", "permissions",
        "files:list", "m:list", "a%2Fb", "auth_tokens", ".", "..",
    ]
)  # fmt: skip


@given(st.sampled_from(["/v1/", "//v1beta/", "/upload/v1/", "/download/v1/"]), st.lists(SEGMENTS, max_size=5))
def test_no_list_is_neither_filtered_nor_of_one_parent(prefix: str, segments: list[str]) -> None:
    path = (prefix + "/".join(segments)).encode()
    found = route("GET", path, b"")
    passes = not (found.rejection or found.wrong_base_url) and owned_resource_in_path(path) is NO_RESOURCE
    if passes and list_kind("GET", found) is None:
        *collections, verb = (found.action or "").split(".")
        assert verb == "get" or not collections or collections in (["models"], ["openai", "models"])


@given(st.binary())
def test_nothing_raises_but_unreadable_lists(document: bytes) -> None:
    with contextlib.suppress(UnreadableList):
        assert isinstance(read_page(document, FILES), ListPage)


@cases(("position", "name"), [("b", "batches/b"), ("batches/b", "batches/b"), ("", None), ("a b", None)])
def test_the_item_that_a_page_begins_after(position: str, name: str | None) -> None:
    assert position_name(position, OPENAI) == name
