"""A key's lists have its own resources only, and page as if there were no others."""

from __future__ import annotations

import gzip
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import parse_qs

import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st
from rig.cases import cases
from rig.gateway import Running, running
from rig.owning import owns
from rig.standin import Reply, StandIn, standing_in
from rig.wire import Answer, exchange

# Of what nobody has made through it keys see nothing.
pytestmark = pytest.mark.settings(unowned="deny")

MASTER = "master-of-the-tests"
FILES = "/gemini/v1beta/files"


class Lists:
    """A script for the stand-in: lists of Google's, by the last segment of their path. A page token is the
    first name of its page in Base64, or nearly: readable. `answers` come first, each once."""

    def __init__(self, names: list[str], default_size: int = 10) -> None:
        self.names = names
        self.default_size = default_size
        self.queries: list[dict[str, str]] = []
        self.answers: dict[int, tuple[int, bytes, tuple[str, ...]]] = {}
        self.zip = False

    async def __call__(self, reply: Reply) -> None:
        assert reply.asked.method == "GET"
        query = {
            name: values[0]
            for name, values in parse_qs(reply.asked.target.partition(b"?")[2].decode()).items()
        }
        self.queries.append(query)
        if (answer := self.answers.pop(len(self.queries), None)) is not None:
            status, body, headers = answer
            await reply.json(body, status, headers)
            return
        query = {name.replace("page_s", "pageS"): value for name, value in query.items()}
        size, token = int(query.get("pageSize", self.default_size)), query.get("pageToken")
        start = self.names.index(token) if token else 0
        some, more = self.names[start : start + size], self.names[start + size :]
        page: dict[str, Any] = {"files": [{"name": name} for name in some]} if some else {}
        body = json.dumps(page | ({"nextPageToken": more[0]} if more else {}), indent=2).encode() + b"\n"
        if self.zip:
            await reply.json(gzip.compress(body), 200, ("Content-Encoding: gzip", 'ETag: "x"'))
        else:
            await reply.json(body, 200, ('ETag: "x"', "X-Other: kept"))


class Client:
    """A key of the gateway under test."""

    def __init__(self, gateway: Running, secret: str) -> None:
        self.gateway, self.secret = gateway, secret

    async def ask(self, target: str, method: str = "GET", *headers: str, body: bytes | None = None) -> Answer:
        fields = [f"x-goog-api-key: {self.secret}", *headers]
        return await exchange(self.gateway.url, f"{method} {target}", headers=fields, body=body)

    def owns(self, *names: str, google_key: str = "#1") -> None:
        """As if it had made them."""
        owns(self.gateway, self.secret, *names, google_key=google_key)

    async def pages(self, target: str) -> AsyncIterator[list[str]]:
        token, sign = "", "&" if "?" in target else "?"
        for _ in range(100):
            answer = await self.ask(target + (f"{sign}pageToken={token}" if token else ""))
            assert answer.status == 200
            document = json.loads(answer.body)
            yield [item["name"] for item in document.get("files", ())]
            if not (token := document.get("nextPageToken", "")):
                return


@pytest.fixture
async def client(guarded: Running) -> Client:
    return Client(guarded, await guarded.key())


def names(count: int) -> list[str]:
    return [f"files/{number:03}" for number in range(count)]


OWN, OTHERS = names(60)[::3], [name for name in names(60) if name not in names(60)[::3]]


@pytest.mark.parametrize("query", ["", "?pageSize=4", "?page_size=4", "?pageSize=1000"])
async def test_a_key_pages_through_its_own_files_and_the_master_key_through_all(
    guarded: Running, google: StandIn, client: Client, query: str
) -> None:
    google.script = lists = Lists(names(60))
    client.owns(*OWN)
    found = [page async for page in client.pages(FILES + query)]
    assert [name for page in found for name in page] == OWN
    size = len(OWN) if "1000" in query else 4 if query else 10
    assert [len(page) for page in found[:-1]] == [size] * (len(found) - 1)
    assert set(lists.queries[0]) <= {"pageSize", "page_size"}

    google.script = Lists(names(60))
    seen = [page async for page in Client(guarded, MASTER).pages(FILES + query)]
    assert [name for page in seen for name in page] == names(60)
    assert len(google.script.queries) == len(seen)


async def test_a_page_keeps_the_bytes_of_its_items_and_has_a_row(client: Client, google: StandIn) -> None:
    google.script = Lists(["files/a", "files/b", "files/c"])
    client.owns("files/b")
    answer = await client.ask(FILES)
    body = b'{\n  "files": [\n    {\n      "name": "files/b"\n    }\n  ]\n}\n'
    assert (answer.status, answer.body, answer.whole) == (200, body, True)
    assert answer.headers["content-length"] == str(len(body))
    assert "etag" not in answer.headers
    assert answer.headers["x-other"] == "kept"
    row = await client.gateway.row()
    expected = {"outcome": "ok", "status": 200, "action": "files.list", "cost_usd": "0.000000000000"}
    assert {name: row[name] for name in expected} == expected
    assert (row["response_bytes"], row["request_bytes"], row["method"]) == (len(body), 0, "GET")


async def test_a_page_token_shows_nothing_of_the_others(client: Client, google: StandIn) -> None:
    google.script = Lists(names(60))
    client.owns(*OWN)
    answer = await client.ask(f"{FILES}?pageSize=3")
    for name in OTHERS:
        assert name.encode() not in answer.body
    token = json.loads(answer.body)["nextPageToken"]
    again = await client.ask(f"{FILES}?pageSize=3")
    assert json.loads(again.body)["nextPageToken"] == token


@cases("token", ["files/007", "Cg9maWxlcy9i", "%00", "\u00e9", "A" * 30_000])
async def test_a_token_of_googles_own_is_none_here(client: Client, google: StandIn, token: str) -> None:
    google.script = Lists(names(60))
    answer = await client.ask(f"{FILES}?pageToken={token.encode().decode('latin-1')}")
    assert (answer.status, answer.reason) == (400, "GATEKEEPER_BAD_REQUEST")
    assert google.asked == []


async def test_a_token_is_of_use_to_its_key_only(guarded: Running, google: StandIn, client: Client) -> None:
    google.script = Lists(names(60))
    client.owns(*OWN)
    token = json.loads((await client.ask(FILES)).body)["nextPageToken"]
    other = Client(guarded, await guarded.key())
    assert (await other.ask(f"{FILES}?pageToken={token}")).status == 400
    assert (await client.ask(f"/gemini/v1beta/batches?pageToken={token}")).status == 400
    assert (await client.ask(f"/gemini/v1/files?pageToken={token}")).status == 200


async def test_a_token_outlives_a_restart(google: StandIn, tmp_path: Path) -> None:
    google.script = Lists(names(9))
    async with running(tmp_path / "a", google.url, master_key=MASTER, unowned="deny") as gateway:
        client = Client(gateway, await gateway.key())
        client.owns(*names(9))
        token = json.loads((await client.ask(f"{FILES}?pageSize=4")).body)["nextPageToken"]
        await gateway.row()
    async with running(tmp_path / "a", google.url, master_key=MASTER, unowned="deny") as gateway:
        client = Client(gateway, client.secret)
        client.owns(*names(9))
        answer = await client.ask(f"{FILES}?pageSize=4&pageToken={token}")
        assert [item["name"] for item in json.loads(answer.body)["files"]] == names(9)[4:8]


@asynccontextmanager
async def two_projects(google: StandIn, folder: Path, lists: dict[str, Lists]) -> AsyncIterator[Client]:
    """A key of a gateway with two Google keys; `lists` are what each of these lists."""

    async def script(reply: Reply) -> None:
        await lists[reply.asked.header("x-goog-api-key")[0]](reply)

    google.script = script
    async with running(
        folder / "data", google.url, master_key=MASTER, gemini_api_key=",".join(lists), unowned="deny"
    ) as gateway:
        yield Client(gateway, await gateway.key())


async def test_a_list_goes_through_the_projects_of_all_google_keys(google: StandIn, tmp_path: Path) -> None:
    lists = {"AIzaFirst": Lists(names(30)[:14]), "AIzaSecond": Lists(names(30)[14:])}
    async with two_projects(google, tmp_path, lists) as client:
        client.owns(*names(30)[:14:3])
        client.owns(*names(30)[15::3], google_key="#2")
        for size in (1, 4, 7):
            found = [page async for page in client.pages(f"{FILES}?pageSize={size}")]
            assert [name for page in found for name in page] == names(30)[::3]
            assert [len(page) for page in found[:-1]] == [size] * (len(found) - 1)
        rows = await client.gateway.rows()
        assert {row["outcome"] for row in rows} == {"ok"}
        assert {row["upstream_key"] for row in rows} == {"#1", "#2"}


async def test_google_keys_of_one_project_list_each_resource_once(google: StandIn, tmp_path: Path) -> None:
    lists = {"AIzaFirst": Lists(names(20)), "AIzaSecond": Lists(names(20))}
    async with two_projects(google, tmp_path, lists) as client:
        client.owns(*names(20)[::2])
        client.owns(*names(20)[1::2], google_key="#2")
        found = [name async for page in client.pages(f"{FILES}?pageSize=3") for name in page]
        assert found == [*names(20)[::2], *names(20)[1::2]]


async def test_googles_own_voices_are_everybodys(google: StandIn, tmp_path: Path) -> None:
    voices = [{"id": "Puck", "type": "prebuilt"}, {"id": "voice_1", "type": "prompted"}, {"id": "voice_2"}]

    async def script(reply: Reply) -> None:
        await reply.json(json.dumps({"voices": voices}).encode())

    async with two_projects(google, tmp_path, {"AIzaFirst": Lists([]), "AIzaSecond": Lists([])}) as client:
        google.script = script
        client.owns("voices/voice_2")
        answer = await client.ask("/gemini/v1beta/voices")
        assert [voice["id"] for voice in json.loads(answer.body)["voices"]] == ["Puck", "voice_2"]


REFUSED = b'{"error": {"code": 400, "message": "API key not valid.", "status": "INVALID_ARGUMENT"}}'


@pytest.mark.parametrize("refused", [{"AIzaFirst"}, {"AIzaSecond"}, {"AIzaFirst", "AIzaSecond"}])
async def test_what_is_in_a_project_without_a_valid_key_is_in_no_list(
    google: StandIn, tmp_path: Path, refused: set[str]
) -> None:
    lists = {"AIzaFirst": Lists(["files/1"]), "AIzaSecond": Lists(["files/2"])}
    for secret in refused:
        lists[secret].answers = dict.fromkeys(range(9), (400, REFUSED, ()))
    async with two_projects(google, tmp_path, lists) as client:
        client.owns("files/1")
        client.owns("files/2", google_key="#2")
        answer = await client.ask(FILES)
        if len(refused) == 2:
            assert (answer.status, answer.reason) == (502, "GATEKEEPER_UPSTREAM_KEY_INVALID")
        else:
            left = "files/2" if refused == {"AIzaFirst"} else "files/1"
            assert [item["name"] for item in json.loads(answer.body)["files"]] == [left]


async def test_gzip_and_head(client: Client, google: StandIn) -> None:
    google.script = lists = Lists(names(9))
    lists.zip = True
    client.owns("files/003")
    answer = await client.ask(FILES, "GET", "accept-encoding: br", "range: bytes=0-1", 'if-none-match: "x"')
    assert b'"files/003"' in answer.body
    assert "content-encoding" not in answer.headers
    asked = google.asked[0]
    assert asked.header("accept-encoding") == ["gzip"]
    assert not any(asked.header(name) for name in ("range", "if-none-match"))
    head = await client.ask(FILES, "HEAD")
    assert (head.status, head.body, head.whole) == (200, b"", True)
    assert head.headers["content-length"] == answer.headers["content-length"]
    row = await client.gateway.row(2)
    assert (row["method"], row["outcome"], row["response_bytes"]) == ("HEAD", "ok", 0)


@cases(
    ("target", "headers"),
    [
        ("?fields=files(name)", ()),
        ("?%24fields=files", ()),
        ("?alt=sse", ()),
        ("?alt=proto", ()),
        ("?$alt=media", ()),
        ("?callback=f", ()),
        ("?pageToken=a&page_token=b", ()),
        ("?pageSize=-1", ()),
        ("", ("x-goog-fieldmask: files.name",)),
        ("", ("accept: application/x-protobuf",)),
        ("", ("x-http-method-override: POST",)),
        ("?$httpMethod=POST", ()),
    ],
)
async def test_what_changes_the_form_of_a_list_is_refused(
    client: Client, google: StandIn, target: str, headers: tuple[str, ...]
) -> None:
    answer = await client.ask(FILES + target, "GET", *headers)
    assert (answer.status, answer.reason) == (400, "GATEKEEPER_BAD_REQUEST")
    assert google.asked == []
    assert (await Client(client.gateway, MASTER).ask(FILES + target, "POST")).status == 200


@cases("name", ["x-http-method-override", "x-http-method", "x-method-override"])
async def test_a_post_that_is_a_list_in_truth_is_refused(client: Client, google: StandIn, name: str) -> None:
    answer = await client.ask(FILES, "POST", f"{name}: GET", body=b"{}")
    assert (answer.status, answer.reason) == (400, "GATEKEEPER_BAD_REQUEST")
    assert google.asked == []


SPELLINGS = ["/v1beta//files", "/v1beta/%66iles", "/v1alpha/x/../files", "/v1/files/", "/v9/files:list"]


@cases("path", [*SPELLINGS, "/download/v1beta/files", "/upload/v1beta/files"])
async def test_every_spelling_of_a_list_is_filtered(client: Client, google: StandIn, path: str) -> None:
    google.script = Lists(names(9))
    answer = await client.ask(f"/gemini{path}")
    assert (answer.status, answer.body) == (200, b"{}\n")


# Without a time: each process of the tests must find the same cases.
CUT_GZIP = gzip.compress(b'{"files": [{"name": "files/000"}]}', mtime=0)[:-12]


@pytest.mark.parametrize(
    ("status", "body", "headers"),
    [
        (200, b"files/000", ()),
        (200, b'data: {"files": [{"name": "files/000"}]}\n\n', ()),
        (200, b'{"files": [{"title": "files/000"}]}', ()),
        (200, b'{"a": [{"name": "files/000"}], "b": [{"name": "files/001"}]}', ()),
        (200, b'{"files": [{"name": "files/000"}]}', ("Content-Encoding: br",)),
        (200, b'{"files": [{"name": "files/000"}]}', ("Content-Encoding: gzip",)),
        (200, CUT_GZIP, ("Content-Encoding: gzip",)),
        (206, b'{"files": [{"name": "files/000"}]}', ()),
        (203, b'{"files": [{"name": "files/000"}]}', ()),
    ],
)
async def test_what_cannot_be_read_is_not_passed_on(
    client: Client, google: StandIn, status: int, body: bytes, headers: tuple[str, ...]
) -> None:
    google.script = lists = Lists(names(9))
    lists.answers[1] = (status, body, headers)
    answer = await client.ask(FILES)
    assert (answer.status, answer.reason) == (502, "GATEKEEPER_UPSTREAM_UNREACHABLE")
    assert b"files/0" not in answer.body
    row = await client.gateway.row()
    assert (row["outcome"], row["reason"]) == ("upstream_broken", "GATEKEEPER_UPSTREAM_UNREACHABLE")


async def test_a_page_that_breaks_off_is_an_error(client: Client, google: StandIn) -> None:
    async def cut(reply: Reply) -> None:
        await reply.raw(b'HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 99\r\n\r\n{"f')
        await reply.stream.aclose()

    google.script = cut
    answer = await client.ask(FILES)
    assert (answer.status, answer.reason) == (502, "GATEKEEPER_UPSTREAM_UNREACHABLE")
    row = await client.gateway.row()
    assert (row["status"], row["outcome"]) == (502, "upstream_broken")
    assert row["error_message"].startswith("The response of the Gemini API ended early.")


async def test_a_page_that_is_too_large_is_not_read(
    client: Client, google: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gatekeeper.proxy.filtered_list.MAX_BYTES", 1000)
    google.script = lists = Lists(names(9))
    bomb = gzip.compress(b'{"files": []' + b" " * 100_000 + b"}")
    lists.answers[1] = (200, bomb, ("Content-Encoding: gzip",))
    answer = await client.ask(FILES)
    assert (answer.status, answer.reason) == (413, "GATEKEEPER_TOO_LARGE")
    lists.answers[2] = (200, b'{"files": []' + b" " * 100_000 + b"}", ())
    assert (await client.ask(FILES)).status == 413


ERROR = b'{"error": {"code": 429, "message": "Slowly.", "status": "RESOURCE_EXHAUSTED"}}'


async def test_an_error_of_googles_passes_as_it_is_where_there_is_nothing_else(
    client: Client, google: StandIn
) -> None:
    google.script = lists = Lists(names(9), default_size=5)
    for request in (1, 3):
        lists.answers[request] = (429, ERROR, ())
        answer = await client.ask(FILES)
        assert (answer.status, answer.body) == (429, ERROR)
    rows = await client.gateway.row(2)
    assert (rows["outcome"], rows["reason"]) == ("upstream_error", "RESOURCE_EXHAUSTED")


async def test_an_error_does_not_repeat_googles_page_token(client: Client, google: StandIn) -> None:
    google.script = lists = Lists(names(9), default_size=5)
    lists.answers[2] = (400, b'{"error": {"code": 400, "message": "Invalid token: files/005"}}', ())
    answer = await client.ask(FILES)
    assert answer.body == b'{"error": {"code": 400, "message": "Invalid token: *********"}}'
    assert (await client.gateway.row())["error_message"] == "Invalid token: *********"


@pytest.mark.parametrize("body", [ERROR, b"no json"])
async def test_a_fault_behind_some_items_is_met_where_the_client_goes_on(
    client: Client, google: StandIn, body: bytes
) -> None:
    google.script = lists = Lists(names(9))
    client.owns("files/000", "files/008")
    lists.answers[2] = (429 if body == ERROR else 200, body, ())
    found = [page async for page in client.pages(f"{FILES}?pageSize=5")]
    assert found == [["files/000"], ["files/008"]]
    assert [row["outcome"] for row in await client.gateway.rows()] == ["ok", "ok"]


async def test_so_many_pages_of_others_end_a_request(
    client: Client, google: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gatekeeper.proxy.filtered_list.MAX_PAGES", 2)
    google.script = Lists(names(300))
    client.owns("files/250")
    found = [page async for page in client.pages(FILES)]
    assert found == [[], [], ["files/250"]]


async def test_a_list_takes_no_large_body(client: Client, google: StandIn) -> None:
    answer = await client.ask(FILES, "GET", body=b" " * 300_000)
    assert (answer.status, answer.reason) == (400, "GATEKEEPER_BAD_REQUEST")
    google.script = Lists([])
    assert (await client.ask(FILES, "GET", body=b"{}")).status == 200


async def test_a_list_of_openais_form(client: Client, google: StandIn) -> None:
    ids = [f"batches/{number}" for number in range(9)]

    async def script(reply: Reply) -> None:
        query = parse_qs(reply.asked.target.partition(b"?")[2].decode())
        after, limit = query.get("after", [""])[0], int(query.get("limit", ["4"])[0])
        start = ids.index(after) + 1 if after else 0
        some = ids[start : start + limit]
        page = {
            "object": "list",
            "data": [{"id": name} for name in some],
            "has_more": start + limit < len(ids),
        }
        ends = {"first_id": some[0], "last_id": some[-1]} if some else {}
        await reply.json(json.dumps(page | ends).encode())

    google.script = script
    client.owns(*ids[::3])
    target = "/gemini/v1beta/openai/batches?limit=2"
    first = json.loads((await client.ask(target)).body)
    assert first == {
        "object": "list",
        "data": [{"id": "batches/0"}, {"id": "batches/3"}],
        "has_more": True,
        "first_id": "batches/0",
        "last_id": "batches/3",
    }
    second = json.loads((await client.ask(f"{target}&after=batches/3")).body)
    assert (second["data"], second["has_more"]) == ([{"id": "batches/6"}], False)
    for after in ("batches/1", "1", "batches/none", "a%20b"):
        assert (await client.ask(f"{target}&after={after}")).status == 404


async def test_an_openai_page_without_own_items_says_that_it_gave_up(
    client: Client, google: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gatekeeper.proxy.filtered_list.MAX_PAGES", 2)

    async def script(reply: Reply) -> None:
        await reply.json(b'{"data": [{"id": "batches/x"}], "has_more": true}')

    google.script = script
    answer = await client.ask("/gemini/v1beta/openai/batches")
    assert (answer.status, len(google.asked)) == (502, 2)
    assert b"batches/x" not in answer.body


async def test_models_and_nested_lists_pass_as_they_are(client: Client, google: StandIn) -> None:
    client.owns("corpora/c")
    for path in ("models", "corpora/c/documents", "openai/models"):

        async def script(reply: Reply) -> None:
            await reply.json(b'{ "models" : [{"name": "models/x"}]}')

        google.script = script
        answer = await client.ask(f"/gemini/v1beta/{path}?fields=models")
        assert answer.body == b'{ "models" : [{"name": "models/x"}]}'


async def test_open_mode_sees_all(gateway: Running, google: StandIn) -> None:
    google.script = Lists(names(9))
    answer = await exchange(gateway.url, f"GET {FILES}?fields=files")
    assert answer.body.count(b'"name"') == 9


INTERLEAVED = st.tuples(st.lists(st.booleans(), max_size=40), st.none() | st.integers(1, 12))


@settings(max_examples=5)
@given(st.lists(INTERLEAVED, min_size=5, max_size=5))
def test_however_two_keys_resources_stand_each_pages_through_its_own(
    interleaved: list[tuple[list[bool], int | None]],
) -> None:
    trio.run(page_through, interleaved)


async def page_through(interleaved: list[tuple[list[bool], int | None]]) -> None:
    with TemporaryDirectory() as folder:
        async with (
            standing_in() as google,
            running(Path(folder) / "data", google.url, master_key=MASTER, unowned="deny") as gateway,
        ):
            clients = [Client(gateway, await gateway.key()) for _ in range(2)]
            for number, (firsts, size) in enumerate(interleaved):
                made = {f"files/{number}-{at:02}": first for at, first in enumerate(firsts)}
                google.script = Lists([*made])
                for client, is_first in zip(clients, (True, False), strict=True):
                    own = [name for name, first in made.items() if first is is_first]
                    client.owns(*own)
                    pages = [page async for page in client.pages(f"{FILES}?pageSize={size or ''}")]
                    assert [name for page in pages for name in page] == own
                    assert all(pages[1:])
                    assert size is None or all(len(page) == size for page in pages[:-1])
