"""What `--json` prints is what `/openapi.json` describes, of every command that prints the API's."""

from __future__ import annotations

import json
import shlex
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import click
import trio
from rig.gateway import running
from rig.json_schema import faults
from rig.standin import Reply, standing_in

from gatekeeper.cli.main import gatekeeper

CALL = "/gemini/v1beta/models/gemini-2.5-flash:generateContent"
ANSWER = {
    "candidates": [{"content": {"parts": [{"text": "Hello"}]}, "finishReason": "STOP"}],
    "usageMetadata": {"promptTokenCount": 1042, "candidatesTokenCount": 318, "totalTokenCount": 1360},
    "modelVersion": "gemini-2.5-flash",
}
MASTER = "sk-master-of-the-documents"

# In this order: each finds what those before it have made.
COMMANDS: list[tuple[str, str, str]] = [
    ("keys create --alias web --tags a,b --max-budget 5", "post", "/key/generate"),
    ("keys import keys.csv", "post", "/key/bulk"),
    ("keys list", "get", "/key/list"),
    ("keys list --query web --sort=-spend", "get", "/key/list"),
    ("keys show web", "get", "/key/info"),
    ("keys edit web --rpm 7", "post", "/key/update"),
    ("keys explain web --model gemini-2.5-flash", "post", "/key/explain"),
    ("keys block web", "post", "/key/block"),
    ("keys unblock web", "post", "/key/unblock"),
    ("keys rotate web --grace 1h", "post", "/key/regenerate"),
    ("keys rotate web --end-grace", "post", "/key/regenerate"),
    *[
        (f"{noun}s {words}", method, f"/{noun}/{route}")
        for noun in ("group", "user")
        for words, method, route in (
            ("create shop --max-budget 5", "post", "generate"),
            ("edit shop --rpm 7", "post", "update"),
            ("block shop", "post", "block"),
            ("unblock shop", "post", "unblock"),
            ("show shop", "get", "info"),
            ("list", "get", "list"),
            ("delete shop --yes", "post", "delete"),
        )
    ],
    ("calls list", "get", "/calls"),
    ("calls list --sort=-cost --limit 1", "get", "/calls"),
    ("calls list --running", "get", "/calls"),
    ("calls list --query status:5xx", "get", "/calls"),
    ("calls show {call}", "get", "/calls/{call_id}"),
    ("spend", "get", "/spend"),
    ("spend --by day,model --since today --limit 1", "get", "/spend"),
    ("spend --by none", "get", "/spend"),
    ("sql 'SELECT model, cost_usd FROM calls'", "post", "/sql"),
    ("audit", "get", "/audit"),
    ("keys delete web --yes", "post", "/key/delete"),
]


OF_THE_API = "Print the API's document."


def commands_with_json(group: click.Group, *words: str) -> set[str]:
    context = click.Context(group)
    found: set[str] = set()
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        if isinstance(command, click.Group):
            found |= commands_with_json(command, *words, name)
        elif command and any(getattr(each, "help", "") == OF_THE_API for each in command.params):
            found.add(" ".join([*words, name]))
    return found


def test_each_command_with_json_is_in_the_table() -> None:
    tested = {" ".join(words.split()[:size]) for words, _, _ in COMMANDS for size in (1, 2)}
    assert commands_with_json(gatekeeper) <= tested


async def curl(client: Any, command: str) -> Any:
    """What the command sends, if it is only about headers and a JSON body."""
    _, url, *options = shlex.split(command)
    headers = dict(text.split(": ") for flag, text in pairwise(options) if flag == "-H")
    (body,) = (text for flag, text in pairwise(options) if flag == "-d")
    return await client.post(url, headers=headers, json=json.loads(body))


def schema_of(document: Any, method: str, route: str) -> Any:
    answer = document["paths"][route][method]["responses"]["200"]
    return answer["content"]["application/json"]["schema"]


async def google(reply: Reply) -> None:
    await reply.json(json.dumps(ANSWER).encode())


async def test_json_is_as_the_description_of_its_route_says(cli: Any, tmp_path: Path) -> None:
    (tmp_path / "keys.csv").write_text("alias,rpm\none,5\n")
    async with (
        standing_in() as upstream,
        running(tmp_path / "data", upstream.url, master_key=MASTER) as gateway,
    ):
        upstream.script = google
        document = (await gateway.client.get("/openapi.json")).json()
        where = ("--url", gateway.url, "--key", MASTER)

        async def check(words: str, method: str, route: str) -> Any:
            ended = await trio.to_thread.run_sync(partial(cli, *shlex.split(words), *where, "--json"))
            assert ended.status == 0, (words, ended.err)
            schema = schema_of(document, method, route)
            assert faults(ended.document, schema, document["components"]["schemas"]) == [], words
            return ended.document

        secret = (await check(*COMMANDS[0]))["key"]
        hint = (await trio.to_thread.run_sync(partial(cli, "calls", "list", *where))).err
        answer = await curl(gateway.client, hint.partition("send one: ")[2].replace("KEY", secret))
        assert answer.status_code == 200
        await gateway.client.post(CALL, json={})
        call = answer.headers["x-gatekeeper-call-id"]
        await gateway.row(2)
        for words, method, route in COMMANDS[1:]:
            await check(words.format(call=call), method, route)
        both = await trio.to_thread.run_sync(
            partial(cli, "spend", "--since", "today", "--compare", *where, "--json")
        )
        for period in ("current", "before"):
            schema = schema_of(document, "get", "/spend")
            assert faults(both.document[period], schema, document["components"]["schemas"]) == []


def test_a_line_of_tail_is_a_call_as_it_was_sent(on: Any, gateway: Any) -> None:
    """The gateway's events are checked in `tests/admin`."""
    call = {"id": "1", "usage": {"a": 1}, "cost_usd": None}
    event = f"id: 1\nevent: call.finished\ndata: {json.dumps(call)}\n\n"
    gateway.answers = {"GET /calls/stream": [event.encode(), (401, {})]}
    assert json.loads(on("calls", "tail", "--json").out) == call
