"""Every way to fail is one kind of document, and none of them tells a secret."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass, field
from typing import Any

from rig.logs import capture_logs

from gatekeeper.openapi.document import Operation, describe
from gatekeeper.openapi.schema import text

SECRET = "sk-secret-of-the-tests-0123456789"


@dataclass(frozen=True)
class Wrong:
    """A request that fails, the status, and members that its problem document has."""

    method: str
    target: str
    status: int
    members: dict[str, Any] = field(default_factory=dict)
    body: str | None = None
    says: str = ""


WRONG = [
    # No such thing
    Wrong("GET", "/nowhere", 404, says="/nowhere"),
    Wrong("GET", "/calls/", 404),
    Wrong("GET", "/calls//stream", 404),
    Wrong("GET", "/geminis", 404),
    Wrong("DELETE", "/calls", 405, says="GET"),
    Wrong("GET", "/key/generate", 405, says="POST"),
    Wrong("GET", "/calls/0193f2c4-7b1e-7c40-9d0a-5f1d9c1c2ab1", 404, says="0193f2c4"),
    # Parameters
    Wrong("GET", "/calls?since=1h&colour=red", 400, {"field": "colour"}, says="`colour`"),
    Wrong("GET", "/healthz/?x=1", 404),
    Wrong("GET", "/?x=1", 400, {"field": "x", "allowed": []}),
    Wrong("GET", "/calls?limit=1001", 400, {"field": "limit"}, says="1000"),
    Wrong("GET", "/calls?limit=0", 400, {"field": "limit"}),
    Wrong("GET", "/calls?limit=-1", 400, {"field": "limit"}),
    Wrong("GET", "/calls?limit=1.5", 400, {"field": "limit"}),
    Wrong("GET", "/calls?limit=%C2%B2", 400, {"field": "limit"}),
    Wrong("GET", "/calls?limit=5&limit=6", 400, {"field": "limit"}, says="2 times"),
    Wrong("GET", "/key/list?limit=2000", 400, {"field": "limit"}),
    Wrong("GET", "/spend?limit=2000", 400, {"field": "limit"}),
    Wrong("GET", "/audit?limit=2000", 400, {"field": "limit"}),
    Wrong("GET", "/calls?cursor=nonsense", 400, {"field": "cursor"}),
    Wrong("GET", "/key/list?cursor=nonsense", 400, {"field": "cursor"}),
    Wrong("GET", "/audit?cursor=nonsense", 400, {"field": "cursor"}),
    Wrong("GET", "/key/list?sort=colour", 400, {"field": "sort"}, says="created_at"),
    Wrong("GET", "/calls?sort=-colour", 400, {"field": "sort"}, says="cost_usd"),
    Wrong("GET", "/calls?sort=--cost", 400, {"field": "sort"}),
    Wrong("GET", "/calls?sort=tags", 400, {"field": "sort"}),
    Wrong("GET", "/calls?sort=", 400, {"field": "sort"}),
    Wrong("GET", "/calls?sort=cost&cursor=nonsense", 400, {"field": "cursor"}),
    Wrong("GET", "/calls?running=1", 400, {"field": "running"}, says="true or false"),
    Wrong("GET", "/calls?running=true&sort=-cost", 400, {"field": "sort"}, says="newest first"),
    Wrong("GET", "/calls?running=true&cursor=nonsense", 400, {"field": "cursor"}),
    Wrong("GET", "/calls?since=tomorrow", 400, {"field": "since"}, says="yesterday"),
    Wrong("GET", "/spend?until=99999999d", 400, {"field": "until"}),
    Wrong("GET", "/audit?key=", 400, {"field": "key"}, says="leave it out"),
    Wrong("GET", "/audit?key=web,", 400, {"field": "key"}, says="one name, or several"),
    Wrong("GET", "/spend?by=colour", 400, {"field": "by"}, says="colour"),
    Wrong("GET", "/spend?by=tag,model,key", 400, {"field": "by"}),
    Wrong("GET", "/spend?by=tag,tag", 400, {"field": "by"}),
    Wrong("GET", "/calls?q=status:4xx+colour:red", 400, {"field": "q", "column": 12}, says="colour"),
    Wrong("GET", "/spend?q=cost:cheap", 400, {"field": "q", "column": 1}),
    Wrong("GET", "/calls/stream?q=tag:", 400, {"field": "q", "column": 1}),
    Wrong("GET", "/key/info", 400, {"field": "key"}),
    Wrong("GET", "/spend/logs?start_date=24.11.2026", 400, {"field": "start_date"}),
    Wrong("GET", "/spend?by=modle", 400, {"field": "by"}, says="did you mean model? Write one or two of"),
    Wrong("GET", "/spend/logs?summarize=true", 400, {"field": "summarize"}, says="/spend?by="),
    # Bodies
    Wrong("POST", "/key/generate", 400, {"field": "body"}, body='{"key_alias": '),
    Wrong("POST", "/key/generate", 400, {"field": "body"}, body='["key"]'),
    Wrong("POST", "/key/generate", 400, {"field": "body"}, body="[" * 100_000),
    Wrong(
        "POST", "/key/generate", 413, body=" " * (1024 * 1024 + 1), says="/key/generate takes at most 1 MiB"
    ),
    Wrong("POST", "/import", 413, body=" " * (16 * 1024 * 1024 + 1), says="/import takes at most 16 MiB"),
    Wrong("POST", "/key/generate", 400, {"field": "colour"}, body='{"colour": "red"}', says="`colour`"),
    Wrong("POST", "/key/generate", 400, {"field": "duration"}, body='{"duration": "soon"}', says="30d"),
    Wrong("POST", "/key/generate", 409, {"field": "key_alias"}, body='{"key_alias": "taken"}', says="taken"),
    Wrong("POST", "/key/generate", 409, {"field": "key"}, body=f'{{"key": "{SECRET}"}}'),
    Wrong("POST", "/key/generate", 400, {"field": "key"}, body='{"key": "sk-too-short-xyz\\u0000"}'),
    Wrong("POST", "/key/update", 409, {"field": "key_alias"}, body='{"key": "other", "key_alias": "taken"}'),
    Wrong("POST", "/key/update", 400, {"field": "key"}, body='{"rpm_limit": 1}', says="`keys`"),
    Wrong("POST", "/key/update", 400, {"field": "key"}, body='{"key": "taken", "keys": ["other"]}'),
    Wrong("POST", "/key/update", 400, {"field": "rpm_limit"}, body='{"key": "taken", "rpm_limit": 0}'),
    Wrong(
        "POST",
        "/key/update",
        400,
        {"field": "key_alias"},
        body='{"keys": ["taken", "other"], "key_alias": "both"}',
    ),
    Wrong("POST", "/key/block", 404, {"field": "key"}, body='{"key": "nobody"}', says="nobody"),
    Wrong("POST", "/key/block", 404, {"field": "key"}, body=f'{{"key": "{SECRET}x"}}'),
    Wrong("POST", "/key/block", 400, {"field": "keys"}, body='{"keys": []}'),
    Wrong("POST", "/key/block", 400, {"field": "keys"}, body='{"keys": "taken"}'),
    Wrong("POST", "/key/block", 400, {"field": "key"}, body='{"key": 5}'),
    Wrong("POST", "/key/delete", 400, {"field": "colour"}, body='{"key": "taken", "colour": "red"}'),
    Wrong("POST", "/sql", 400, {"field": "query"}, body="{}"),
    Wrong("POST", "/sql", 400, {"field": "limit"}, body='{"query": "SELECT 1", "limit": 1001}'),
    Wrong("POST", "/sql", 400, {"field": "limit"}, body='{"query": "SELECT 1", "limit": true}'),
    Wrong("POST", "/sql", 400, {"field": "query"}, body='{"query": "DROP TABLE calls"}', says="SELECT"),
    Wrong(
        "POST", "/sql", 400, {"field": "query"}, body='{"query": "SELECT colour FROM calls"}', says="colour"
    ),
    Wrong("POST", "/sql/lend", 400, {"field": "seconds"}, body="{}"),
    Wrong("POST", "/sql/lend", 400, {"field": "seconds"}, body='{"seconds": 3601}', says="3600"),
    Wrong("POST", "/sql/return", 400, {"field": "seconds"}, body='{"seconds": 1}'),
]


async def test_every_way_to_fail_has_its_status_and_says_where_and_what_is_allowed(admin):
    await admin.post("/key/generate", {"key_alias": "taken", "key": SECRET})
    await admin.post("/key/generate", {"key_alias": "other"})
    address = str(admin.client.base_url).rstrip("/")
    for wrong in WRONG:
        answer = await admin.client.request(wrong.method, address + wrong.target, content=wrong.body)
        case = f"{wrong.method} {wrong.target} {(wrong.body or '')[:60]}: {answer.text}"
        assert answer.status_code == wrong.status, case
        assert answer.headers["content-type"] == "application/problem+json", case
        assert answer.headers["cache-control"] == "no-store", case
        problem = answer.json()
        assert {"type", "title", "status", "detail"} <= problem.keys(), case
        assert problem["status"] == wrong.status, case
        assert wrong.members.items() <= problem.items(), case
        assert wrong.says in problem["detail"], case
        assert SECRET not in answer.text, case


async def test_a_method_that_a_path_does_not_take_is_answered_with_those_it_does(admin):
    answer = await admin.client.put("/key/list")
    assert set(answer.headers["allow"].split(", ")) == {"GET", "HEAD", "OPTIONS"}


async def test_a_fault_of_ours_tells_the_client_nothing_and_the_log_where_but_no_value(admin):
    @admin.app.get("/broken")
    @describe(Operation("Breaks", text("Nothing.", ""), query=("key",)))
    async def broken():
        raise RuntimeError(SECRET)

    with capture_logs() as logs:
        answer = await admin.client.get(f"/broken?key={SECRET}")
    assert answer.status_code == 500
    assert answer.headers["content-type"] == "application/problem+json"
    assert SECRET not in answer.text
    assert "Traceback" not in answer.text
    (event,) = logs
    assert (event["event"], event["path"], event["problem"]) == (
        "admin_request_failed",
        "/broken",
        "RuntimeError",
    )
    assert "broken" in event["trace"][-1]
    assert SECRET not in str(event)


async def test_a_store_of_keys_that_fails_is_told_and_logged(admin):
    with sqlite3.connect(admin.gateway.settings.keys_file) as vandal:
        vandal.execute("DROP TABLE audit")
    vandal.close()
    with capture_logs() as logs:
        answer = await admin.client.post("/key/generate")
    assert answer.status_code == 503
    assert "nothing was changed" in answer.json()["detail"]
    assert [event["event"] for event in logs] == ["key_store_failed"]
