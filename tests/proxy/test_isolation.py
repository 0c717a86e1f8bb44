"""Two keys of one gateway see nothing of each other: every kind of resource that the simulated API makes, in
every way that a path can name it."""

from __future__ import annotations

import json
import shutil
import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

import httpx2
import pytest
import trio
from rig.cases import cases
from rig.gateway import Running, running
from rig.standin import Reply, StandIn
from rig.wire import connect, exchange, head, read

from gatekeeper.keys.sqlite_file import MIGRATIONS

MASTER = "master-of-the-tests"
TEXT = {"contents": [{"role": "user", "parts": [{"text": "word " * 3000}]}]}
HI = {"contents": [{"parts": [{"text": "hi"}]}]}
TUNING = {
    "hyperparameters": {},
    "trainingData": {"examples": {"examples": [{"textInput": "1", "output": "2"}]}},
}
VIDEO = "veo-3.1-generate-preview"


class Kind(NamedTuple):
    """How one is made; `prefix` and `member` tell where it is found afterwards."""

    path: str
    body: dict[str, Any]
    prefix: str = ""
    member: str = "name"

    def found(self, document: dict[str, Any]) -> str:
        for step in self.member.split("."):
            document = document[int(step)] if step.isdigit() else document[step]
        return f"{self.prefix}{document}"


KINDS = {
    "a file": Kind("files", {"file": {"displayName": "f"}}, member="file.name"),
    "a registered file": Kind("files:register", {"uris": ["gs://bucket/object"]}, member="files.0.name"),
    "a cache": Kind("cachedContents", {"model": "models/gemini-2.5-flash", **TEXT}),
    "a batch": Kind(
        "models/gemini-2.5-flash:batchGenerateContent",
        {"batch": {"inputConfig": {"requests": {"requests": [{"request": HI}]}}}},
    ),
    "a batch of embeddings": Kind(
        "models/gemini-embedding-001:asyncBatchEmbedContent",
        {"batch": {"inputConfig": {"requests": {"requests": [{"request": {"content": HI["contents"][0]}}]}}}},
    ),
    "a store": Kind("fileSearchStores", {}),
    "a corpus": Kind("corpora", {}),
    "a tuned model": Kind(
        "tunedModels",
        {"baseModel": "models/gemini-2.5-flash", "tuningTask": TUNING},
        member="metadata.tunedModel",
    ),
    "a tuning": Kind("tunedModels", {"baseModel": "models/gemini-2.5-flash", "tuningTask": TUNING}),
    "a video": Kind(
        f"models/{VIDEO}:predictLongRunning",
        {"instances": [{"prompt": "a"}], "parameters": {"durationSeconds": 4}},
    ),
    "a video in OpenAI's form": Kind(
        "openai/videos", {"model": VIDEO, "prompt": "a"}, "openai/videos/", "id"
    ),
    "an interaction": Kind(
        "interactions", {"model": "gemini-2.5-flash", "input": "hi"}, "interactions/", "id"
    ),
    "a webhook": Kind("webhooks", {"uri": "https://example.com"}, "webhooks/", "id"),
    "a trigger": Kind(
        "triggers", {"interaction": {"model": "gemini-2.5-flash", "input": "hi"}}, "triggers/", "id"
    ),
    "an agent": Kind("agents", {"base_agent": "deep-research"}, "agents/", "id"),
    "an environment": Kind("environments", {}, "environments/", "id"),
    "a voice": Kind("voices", {}, "voices/", "id"),
    "a credential": Kind("credentials", {}, "credentials/", "id"),
}
WAYS = {
    "get": ("GET", "", None),
    "patch": ("PATCH", "?updateMask=displayName", {"displayName": "mine"}),
    "put": ("PUT", "", {}),
    "delete": ("DELETE", "?force=true", None),
    "a verb": ("POST", ":cancel", {}),
    "cancel": ("POST", "/cancel", {}),
    "download": ("GET", ":download?alt=media", None),
    "children": ("GET", "/documents", None),
    "a child": ("GET", "/operations/o", None),
    "a new child": ("POST", "/permissions", {}),
    "options": ("OPTIONS", "", None),
}


@pytest.fixture
async def sandboxed(tmp_path: Path) -> AsyncIterator[Running]:
    async with running(
        tmp_path / "d", "http://127.0.0.1:9", sandbox=True, master_key=MASTER, unowned="deny"
    ) as gateway:
        yield gateway


async def asked(
    gateway: Running, key: str, method: str, path: str, body: object = None, version: str = "v1beta"
) -> httpx2.Response:
    content = None if body is None else json.dumps(body).encode()
    headers = {"x-goog-api-key": key, "content-type": "application/json"}
    return await gateway.client.request(method, f"/gemini/{version}/{path}", content=content, headers=headers)


async def made(gateway: Running, key: str, kind: Kind) -> str:
    answer = await asked(gateway, key, "POST", kind.path, kind.body)
    assert answer.status_code == 200, answer.text
    return kind.found(answer.json())


async def statuses(gateway: Running, name: str, *keys: str) -> list[int]:
    """What these keys are answered about a resource."""
    return [(await asked(gateway, key, "GET", name)).status_code for key in keys]


def without_names(text: str, *names: str) -> str:
    for name in names:
        text = text.replace(name.removeprefix("openai/"), "")
    return text


@cases("kind", KINDS.values())
async def test_a_resource_is_its_keys_only(sandboxed: Running, kind: Kind) -> None:
    mine, other = await sandboxed.key(), await sandboxed.key()
    name = await made(sandboxed, mine, kind)
    missing = name.rpartition("/")[0] + "/nothing"
    before = len(await sandboxed.rows())
    for method, rest, body in WAYS.values():
        answers = [
            await asked(sandboxed, other, method, path + rest, body, version)
            for version in ("v1beta", "v1", "v1alpha")
            for path in (name, missing)
        ]
        # A verb that Google does not have there is a 400, whose ever it is.
        assert len({answer.status_code for answer in answers}) == 1
        assert answers[0].status_code == 404 or "BAD_REQUEST" in answers[0].text
        assert len({without_names(answer.text, name, missing) for answer in answers}) == 1
        assert len({frozenset(answer.headers) for answer in answers}) == 1
    rows = (await sandboxed.rows())[before:]
    assert {(row["outcome"], row["cost_usd"]) for row in rows} == {("refused", "0.000000000000")}
    for key in (mine, MASTER):
        assert (await asked(sandboxed, key, "GET", name)).status_code == 200


async def test_what_a_batch_a_video_or_a_trigger_makes_belongs_to_whom_that_belongs(
    sandboxed: Running,
) -> None:
    mine, other = await sandboxed.key(), await sandboxed.key()
    video = await made(sandboxed, mine, KINDS["a video"])
    trigger = await made(sandboxed, mine, KINDS["a trigger"])
    # Polled by the master key, too: they are not the master key's for that.
    for key in (MASTER, mine):
        answer = await asked(sandboxed, key, "GET", video)
    sample = answer.json()["response"]["generateVideoResponse"]["generatedSamples"][0]
    file = sample["video"]["uri"].partition("/v1beta/")[2]
    execution = await asked(sandboxed, MASTER, "POST", f"{trigger}/executions", {})
    interaction = f"interactions/{execution.json()['interaction_id']}"
    listed = [(await asked(sandboxed, key, "GET", "generatedFiles")).text for key in (mine, other)]
    assert [file.rpartition("/")[2].partition(":")[0] in text for text in listed] == [True, False]
    for name in (file, interaction, file.replace("files", "generatedFiles").partition(":")[0]):
        statuses = [(await asked(sandboxed, key, "GET", name)).status_code for key in (mine, other, MASTER)]
        assert statuses == [200, 404, 200]


async def test_what_is_deleted_can_be_made_anew_by_another_key(sandboxed: Running) -> None:
    one, two = await sandboxed.key(), await sandboxed.key()
    kind = Kind("files", {"file": {"name": "files/chosen"}}, member="file.name")
    name = await made(sandboxed, one, kind)
    assert (await asked(sandboxed, two, "POST", kind.path, kind.body)).status_code == 409
    for key, status in ((two, 404), (one, 200), (one, 404)):
        assert (await asked(sandboxed, key, "DELETE", name)).status_code == status
    assert await made(sandboxed, two, kind) == name
    assert [(await asked(sandboxed, key, "GET", name)).status_code for key in (one, two)] == [404, 200]


@cases("path", ["files/x;y", "files/y/../x", "files/%2578", "files/x%00"])
async def test_a_name_that_could_be_read_as_another_is_none(sandboxed: Running, path: str) -> None:
    key = await sandboxed.key()
    line = f"GET /gemini/v1beta/{path}"
    answer = await exchange(sandboxed.url, line, headers=[f"x-goog-api-key: {key}"])
    assert (answer.status, answer.reason) == (404, "GATEKEEPER_NOT_FOUND")


@pytest.mark.parametrize(("unowned", "status"), [("deny", 404), ("allow", 200)])
async def test_what_was_made_outside_is_shown_by_the_setting(
    google: StandIn, tmp_path: Path, unowned: str, status: int
) -> None:
    async with running(tmp_path / "d", google.url, master_key=MASTER, unowned=unowned) as gateway:
        key = await gateway.key()
        assert (await asked(gateway, key, "GET", "files/outside")).status_code == status
        assert len(google.asked) == (status == 200)
        assert (await asked(gateway, MASTER, "GET", "files/outside")).status_code == 200


@pytest.mark.parametrize(("schema", "unowned"), [(0, "deny"), (8, "deny"), (8, "allow")])
async def test_an_update_says_once_that_keys_lose_sight_of_what_they_had_made(
    google: StandIn, tmp_path: Path, capsys: pytest.CaptureFixture[str], schema: int, unowned: str
) -> None:
    with closing(sqlite3.connect(tmp_path / "keys.sqlite")) as db:
        for script in MIGRATIONS[:schema]:
            db.executescript(script)
        db.execute(f"PRAGMA user_version = {schema}")
    for is_first in (True, False):
        async with running(tmp_path, google.url, master_key=MASTER, unowned=unowned):
            pass
        is_warned = "resources_without_owner" in capsys.readouterr().err
        assert is_warned is (is_first and schema > 0 and unowned == "deny")


async def test_in_open_mode_everything_is_everybodys_and_a_virtual_key_has_its_own(tmp_path: Path) -> None:
    async with running(tmp_path / "d", "http://127.0.0.1:9", sandbox=True) as gateway:
        key = await gateway.key()
        name, own = await made(gateway, "any", KINDS["a store"]), await made(gateway, key, KINDS["a store"])
        statuses = [
            (await asked(gateway, k, "GET", n)).status_code for k in ("another", key) for n in (name, own)
        ]
        assert statuses == [200, 200, 404, 200]


async def test_owners_survive_a_restart(google: StandIn, tmp_path: Path) -> None:
    async def create(reply: Reply) -> None:
        await reply.json(b'{"name": "fileSearchStores/s"}')

    google.script = create
    async with running(tmp_path / "d", google.url, master_key=MASTER, unowned="deny") as gateway:
        one, two = await gateway.key(), await gateway.key()
        await made(gateway, one, KINDS["a store"])
    for _ in range(2):
        async with running(tmp_path / "d", google.url, master_key=MASTER, unowned="deny") as gateway:
            statuses = [
                (await asked(gateway, key, "GET", "fileSearchStores/s")).status_code for key in (one, two)
            ]
            assert statuses == [200, 404]


@cases(("share", "statuses"), [(None, [200, 404, 404]), ("group", [200, 200, 404]), ("all", [200] * 3)])
async def test_a_key_shares_with_its_group_or_with_all(
    sandboxed: Running, share: str | None, statuses: list[int]
) -> None:
    mine = await sandboxed.key(group="g", share=share)
    keys = [mine, await sandboxed.key(group="g"), await sandboxed.key(group="h")]
    name = await made(sandboxed, mine, KINDS["a store"])
    assert [(await asked(sandboxed, key, "GET", name)).status_code for key in keys] == statuses


CREATED = b'event: interaction.created\ndata: {"interaction": {"id": "i", "environment_id": "env_1"}}\n\n'


async def test_a_name_that_the_client_has_is_its_own_at_once_and_after_a_kill(
    google: StandIn, tmp_path: Path
) -> None:
    going_on = trio.Event()

    async def stream(reply: Reply) -> None:
        if reply.asked.method == "GET":
            await reply.json(b"{}")
            return
        await reply.chunked([CREATED], end=False)
        await going_on.wait()
        await reply.raw(b"0\r\n\r\n")

    google.script = stream
    names = ("interactions/i", "environments/env_1")
    async with running(tmp_path / "d", google.url, master_key=MASTER, unowned="deny") as gateway:
        one, two = await gateway.key(), await gateway.key()
        body = b'{"model": "m", "input": "hi", "stream": true}'
        fields = [f"x-goog-api-key: {one}", f"content-length: {len(body)}"]
        async with await connect(gateway.url) as client:
            await client.send_all(head("POST /gemini/v1beta/interactions", fields) + body)
            received = b""
            while CREATED not in received:
                received += await client.receive_some()
            for name in names:
                assert await statuses(gateway, name, one, two) == [200, 404]
            # All that a process leaves that is killed now.
            shutil.copytree(tmp_path / "d", tmp_path / "killed")
            going_on.set()
            assert (await read(client, received=received)).whole
    for folder in ("d", "killed"):
        async with running(tmp_path / folder, google.url, master_key=MASTER, unowned="deny") as gateway:
            for name in names:
                assert await statuses(gateway, name, one, two) == [200, 404]


async def test_what_a_schedule_has_made_is_found_in_the_list_of_its_executions(
    google: StandIn, tmp_path: Path
) -> None:
    async def answer(reply: Reply) -> None:
        lists = reply.asked.target.endswith(b"/executions")
        listed = {"trigger_executions": [{"id": "e", "trigger_id": "t", "interaction_id": "i"}]}
        await reply.json(json.dumps(listed if lists else {"id": "t"}).encode())

    google.script = answer
    async with running(tmp_path / "d", google.url, master_key=MASTER, unowned="deny") as gateway:
        one, two = await gateway.key(), await gateway.key()
        await made(gateway, one, KINDS["a trigger"])
        assert (await asked(gateway, one, "GET", "interactions/i")).status_code == 404
        assert (await asked(gateway, one, "GET", "triggers/t/executions")).status_code == 200
        assert [(await asked(gateway, key, "GET", "interactions/i")).status_code for key in (one, two)] == [
            200,
            404,
        ]


async def test_another_prefix_of_a_path_names_the_same(sandboxed: Running) -> None:
    mine, other = await sandboxed.key(), await sandboxed.key()
    names = {kind: await made(sandboxed, mine, KINDS[kind]) for kind in ("a file", "a store", "a batch")}
    for line in (
        f"POST /upload/v1beta/{names['a store']}:uploadToFileSearchStore",
        f"POST /resumable/upload/v1beta/{names['a store']}:uploadToFileSearchStore",
        f"GET /download/v1beta/{names['a file']}:download?alt=media",
        f"GET /v1beta/openai/{names['a file']}/content",
        f"GET /v1beta/openai/{names['a batch']}",
        f"GET /v1beta/openai/batches/{names['a batch']}",
        f"POST /v1beta/openai/{names['a batch']}/cancel",
        f"GET //v1beta//{names['a batch']}/",
        f"GET /v1beta/{names['a batch'].replace('b', '%62')}",
    ):
        url = line.replace(" ", " /gemini")
        refused = await exchange(sandboxed.url, url, body=b"{}", headers=[f"x-goog-api-key: {other}"])
        assert (refused.status, refused.reason) == (404, "GATEKEEPER_NOT_FOUND"), line
