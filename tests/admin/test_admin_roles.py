"""What each role may do, over every route there is; and what a key without a role sees of its own."""

from __future__ import annotations

import json

import pytest
from rig.cases import cases
from rig.event_stream import listening

from gatekeeper.admin.calls import OwnEvents
from gatekeeper.admin.permissions import ROUTES, Open, permission_of
from gatekeeper.keys.virtual_key import Role
from gatekeeper.ledger.events import Gap

CALLERS = ("nobody", "key", "viewer", "operator", "admin", "master")
"""From the narrowest to the widest."""
# Who is the first that may use a route. A new route is added here, and to `permissions.ROUTES`.
FIRST = {
    "GET /": "nobody",
    "GET /healthz": "nobody",
    "GET /readyz": "nobody",
    "GET /metrics": "nobody",
    "GET /openapi.json": "nobody",
    "GET /docs": "nobody",
    "GET /docs.css": "nobody",
    "GET /key/info": "key",
    "GET /calls": "key",
    "GET /calls/<call_id>": "key",
    "GET /calls/stream": "key",
    "GET /spend": "key",
    "GET /key/list": "viewer",
    "GET /spend/tags": "viewer",
    "GET /spend/logs": "viewer",
    "GET /models": "viewer",
    "GET /prices": "viewer",
    "POST /prices/quote": "viewer",
    "GET /settings": "viewer",
    "GET /audit": "viewer",
    "POST /sql": "viewer",
    "POST /key/explain": "viewer",
    "POST /key/generate": "operator",
    "POST /key/bulk": "operator",
    "POST /key/update": "operator",
    "POST /key/block": "operator",
    "POST /key/unblock": "operator",
    "POST /key/regenerate": "operator",
    "POST /key/end_grace": "operator",
    "POST /key/delete": "operator",
    "GET /group/info": "viewer",
    "GET /group/list": "viewer",
    "POST /group/generate": "operator",
    "POST /group/update": "operator",
    "POST /group/block": "operator",
    "POST /group/unblock": "operator",
    "POST /group/delete": "operator",
    "GET /user/info": "viewer",
    "GET /user/list": "viewer",
    "POST /user/generate": "operator",
    "POST /user/update": "operator",
    "POST /user/block": "operator",
    "POST /user/unblock": "operator",
    "POST /user/delete": "operator",
    "GET /google_key/list": "viewer",
    "POST /google_key/add": "admin",
    "POST /google_key/drain": "admin",
    "POST /google_key/resume": "admin",
    "POST /google_key/remove": "admin",
    "POST /import": "admin",
    "POST /sql/lend": "admin",
    "POST /sql/return": "admin",
}


def routes_of(app):
    return {
        f"{method} {rule.rule}"
        for rule in app.url_map.iter_rules()
        for method in rule.methods - {"HEAD", "OPTIONS"}
    }


@pytest.fixture
async def secrets(guarded):
    """The secret of each caller; None where there is none."""
    made = {
        role: (await guarded.post("/key/generate", {"key_alias": role, "role": role}))["key"] for role in Role
    }
    made["key"] = (await guarded.post("/key/generate", {"key_alias": "plain"}))["key"]
    master = guarded.client.headers.pop("Authorization").removeprefix("Bearer ")
    return {**made, "master": master, "nobody": None}


async def test_every_route_has_a_permission_and_every_permission_a_route(guarded):
    assert routes_of(guarded.app) == set(ROUTES) == set(FIRST)


async def test_each_role_may_do_what_it_may_and_no_more(guarded, secrets):
    for route, first in FIRST.items():
        method, rule = route.split(" ")
        path = rule.replace("<call_id>", "0197a2b4-0000-7000-8000-000000000000")
        method = "HEAD" if rule == "/calls/stream" else method  # which a GET would not end
        for caller in CALLERS:
            headers = {"Authorization": f"Bearer {secrets[caller]}"} if secrets[caller] else {}
            answer = await guarded.client.request(method, path, content=b'{"nothing": 1}', headers=headers)
            if CALLERS.index(caller) >= CALLERS.index(first):
                assert answer.status_code not in (401, 403), (route, caller)
            else:
                assert answer.status_code == (401 if caller == "nobody" else 403), (route, caller)


def test_a_route_without_a_permission_is_the_admins():
    assert permission_of("POST", "/new") is Role.ADMIN
    assert permission_of("HEAD", "/calls") is Open.TO_OWN_KEY
    assert permission_of("POST", None) is Role.VIEWER


async def test_the_answer_to_a_role_that_is_too_narrow_names_the_one_it_takes(guarded, secrets):
    answer = await guarded.as_key("POST", "/key/generate", secrets["viewer"])
    assert (answer.status_code, answer.json()["needs"]) == (403, "operator")
    assert "`viewer`" in answer.json()["detail"]
    answer = await guarded.as_key("GET", "/audit", secrets["key"])
    assert (answer.status_code, answer.json()["needs"]) == (403, "viewer")
    assert "GET /key/info" in answer.json()["detail"]


async def test_only_an_admin_gives_changes_and_takes_roles(guarded, secrets):
    operator = secrets["operator"]
    for path, body in (
        ("generate", {"role": "viewer"}),
        ("generate", {"role": None}),
        ("update", {"key": "plain", "role": "admin"}),
        ("update", {"key": "admin", "rpm_limit": 1}),
        ("update", {"keys": ["plain", "admin"], "rpm_limit": 1}),
        ("block", {"key": "viewer"}),
        ("regenerate", {"key": "admin"}),
        ("regenerate", {"key": "operator"}),
        ("delete", {"key": "admin"}),
    ):
        answer = await guarded.as_key("POST", f"/key/{path}", operator, body)
        assert answer.status_code == 403, (path, body)
        assert "admin" in answer.json()["detail"]
    made = await guarded.as_key("POST", "/key/update", secrets["admin"], {"key": "plain", "role": "viewer"})
    assert made.json()["role"] == "viewer"
    assert (await guarded.as_key("GET", "/key/list", secrets["key"])).status_code == 200
    taken = await guarded.as_key("POST", "/key/update", secrets["master"], {"key": "plain", "role": None})
    assert taken.json()["role"] is None
    assert (await guarded.as_key("GET", "/key/list", secrets["key"])).status_code == 403


async def test_a_role_is_one_that_there_is(guarded):
    answer = await guarded.client.post("/key/generate", json={"role": "root"})
    assert (answer.status_code, answer.json()["field"]) == (400, "role")
    assert "admin, operator, viewer" in answer.json()["allowed"]


@pytest.mark.parametrize("change", [{"blocked": True}, {"duration": "1s"}], ids=str)
async def test_a_key_that_may_not_call_may_not_ask_either(guarded, secrets, change, monkeypatch):
    master = secrets["master"]
    for alias in ("viewer", "plain"):
        assert (await guarded.as_key("POST", "/key/update", master, {"key": alias, **change})).is_success
    if "duration" in change:
        now = guarded.gateway.now_micros() + 2_000_000
        monkeypatch.setattr(type(guarded.gateway), "now_micros", lambda _: now)
    for caller in ("viewer", "key"):
        answer = await guarded.as_key("GET", "/key/info", secrets[caller], key="plain")
        assert answer.status_code == 403
        assert "blocked" in answer.text or "expired" in answer.text


async def test_the_log_says_who_from_where_and_from_what_to_what(guarded, secrets):
    headers = {"x-forwarded-for": "203.0.113.9"}  # from a peer that is no trusted proxy
    await guarded.as_key("POST", "/key/generate", secrets["operator"], {"key_alias": "web", "rpm_limit": 3})
    await guarded.as_key("POST", "/key/update", secrets["operator"], {"key": "web", "rpm_limit": 7})
    await guarded.as_key("POST", "/key/delete", secrets["master"], {"key": "web"})
    guarded.client.headers.update(headers)
    await guarded.as_key("POST", "/sql/lend", secrets["admin"], {"seconds": 5})
    await guarded.as_key("POST", "/sql/return", secrets["admin"], {})
    log = (await guarded.as_key("GET", "/audit", secrets["viewer"], limit=5)).json()["changes"]
    assert [(c["action"], c["by_alias"] or c["by"], c["role"], c["address"]) for c in log] == [
        ("file.return", "admin", "admin", "127.0.0.1"),
        ("file.lend", "admin", "admin", "127.0.0.1"),
        ("delete", "master", "admin", "127.0.0.1"),
        ("update", "operator", "operator", "127.0.0.1"),
        ("create", "operator", "operator", "127.0.0.1"),
    ]
    assert log[3]["detail"] == {"rpm_limit": {"from": 3, "to": 7}}
    assert log[4]["detail"]["rpm_limit"] == {"from": None, "to": 3}
    assert all(secret not in json.dumps(log) for secret in secrets.values() if secret)


async def test_the_log_is_searched_and_paged(guarded, secrets):
    async def found(**params):
        answer = await guarded.as_key("GET", "/audit", secrets["master"], **params)
        assert answer.status_code == 200, answer.text
        return [(change["action"], change["key_alias"]) for change in answer.json()["changes"]]

    await guarded.as_key("POST", "/key/block", secrets["operator"], {"key": "plain"})
    assert await found(by="operator") == [("block", "plain")]
    assert await found(key="plain") == [("block", "plain"), ("create", "plain")]
    assert await found(action="block,create", key="plain,viewer") == [
        ("block", "plain"),
        ("create", "plain"),
        ("create", "viewer"),
    ]
    assert await found(until="2020-01-01") == []
    assert len(await found(since="1h")) == 5
    first = (await guarded.as_key("GET", "/audit", secrets["master"], limit=3)).json()
    rest = await found(cursor=first["next_cursor"])
    assert len(first["changes"]) + len(rest) == 5
    assert (await guarded.as_key("GET", "/audit", secrets["master"], action="")).status_code == 400
    refused = await guarded.as_key("GET", "/audit", secrets["master"], action="create,nonsense")
    assert (refused.status_code, refused.json()["field"]) == (400, "action")
    assert 'there is no action "nonsense"; there are create, update, block,' in refused.json()["detail"]


# A key without a role


@pytest.fixture
async def own(guarded):
    """Two keys with a call each, and a client that shows the first one's secret."""
    mine = await guarded.post("/key/generate", {"key_alias": "mine"})
    other = await guarded.post("/key/generate", {"key_alias": "other"})
    calls = {
        name: guarded.end(
            guarded.start(key_id=key["token_id"], key_alias=name), cost_pico=price, total_tokens=price
        )
        for name, key, price in (("mine", mine, 10), ("other", other, 100))
    }
    guarded.client.headers["Authorization"] = f"Bearer {mine['key']}"
    return mine, other, calls


async def test_a_key_sees_itself_whatever_it_asks(guarded, own):
    mine, other, _ = own
    for params in ({}, {"key": "mine"}, {"key": mine["key"]}, {"key": mine["token_id"]}):
        assert (await guarded.get("/key/info", **params))["key"] == mine["token_id"]
    answers = [
        await guarded.client.get("/key/info", params={"key": name})
        for name in ("other", "nobody", other["token_id"])
    ]
    assert [answer.status_code for answer in answers] == [404] * 3
    assert answers[0].json()["detail"].replace("other", "nobody") == answers[1].json()["detail"]


async def test_a_key_with_two_secrets_has_no_other_names(guarded):
    old, other = [await guarded.post("/key/generate", {"key_alias": name}) for name in ("mine", "other")]
    new = (await guarded.post("/key/regenerate", {"key": "mine", "grace": "1h"}))["key"]
    statuses = [
        (await guarded.as_key("GET", "/key/info", new, key=name)).status_code
        for name in (old["key"], new, "mine", other["key"], "other", "nobody")
    ]
    assert statuses == [200, 200, 200, 404, 404, 404]


@cases("q", ["", "key:other", "-key:mine", "key:mine,other", "-key:nobody", "tag:*", "-tag:*"])
async def test_no_filter_widens_what_a_key_sees(guarded, own, q):
    _, _, calls = own
    listed = (await guarded.get("/calls", q=q))["calls"]
    assert {call["id"] for call in listed} <= {calls["mine"].id}
    for sort in ("cost", "-key", "-started"):
        by_sort = (await guarded.get("/calls", q=q, sort=sort))["calls"]
        assert by_sort == listed
    total = (await guarded.get("/spend", q=q, by="key"))["total"]
    assert total["cost_usd"] in ("0.000000000010", "0.000000000000", None)
    assert bool(listed) == (total["calls"] == 1)


async def test_a_key_sees_its_own_calls_in_flight(guarded, own):
    mine, other, _ = own
    running = [guarded.start(key_id=key["token_id"]) for key in (mine, other)]
    for params in ({}, {"q": "-key:mine"}, {"q": "", "cursor": running[1].id}):
        listed = (await guarded.get("/calls", running="true", **params))["calls"]
        assert {call["id"] for call in listed} <= {running[0].id}
    assert (await guarded.get("/calls", running="true"))["calls"][0]["id"] == running[0].id


async def test_anothers_call_is_none_that_ever_was(guarded, own):
    _, _, calls = own
    running = guarded.start(key_id=calls["other"].key_id)
    assert (await guarded.get(f"/calls/{calls['mine'].id}"))["key_alias"] == "mine"
    never = "0197a2b4-0000-7000-8000-000000000000"
    gone = await guarded.client.get(f"/calls/{never}")
    for call in (calls["other"], running):
        answer = await guarded.client.get(f"/calls/{call.id}")
        assert (answer.status_code, answer.text) == (404, gone.text.replace(never, call.id))


async def test_the_stream_of_a_key_has_its_own_calls_and_sums(guarded, own):
    mine, other, _ = own
    guarded.start(key_id=other["token_id"])
    guarded.start(key_id=mine["token_id"])
    async with listening(guarded, secret=mine["key"], q="-key:nobody") as listener:
        for key, price in ((other, 100), (mine, 10)):
            guarded.end(guarded.start(key_id=key["token_id"]), cost_pico=price, total_tokens=price)
        events = [await listener.event() for _ in range(3)]
        assert [(event["event"], json.loads(event["data"])["key_id"]) for event in events] == [
            ("call.started", mine["token_id"]),
            ("call.started", mine["token_id"]),
            ("call.finished", mine["token_id"]),
        ]
        guarded.ledger.events.publish_tick()
        tick = (await listener.block()).split("data: ")[1]
    assert json.loads(tick) == {
        "calls": 1, "errors": 0, "in_flight": 1, "tokens": 10, "cost_usd": "0.000000000010",
    }  # fmt: skip


def test_a_key_is_not_told_how_many_events_of_others_it_missed():
    events = OwnEvents("key_1", {}).of([Gap(7, 3)])
    assert list(events) == [Gap(7, None)]


@pytest.mark.parametrize(
    ("path", "fields"),
    [
        ("block", {}), ("delete", {}), ("regenerate", {}), ("update", {"role": None}),
        ("update", {"role": "admin"}),
    ],
)  # fmt: skip
async def test_a_stream_ends_with_what_allowed_it(guarded, path, fields):
    viewer = await guarded.post("/key/generate", {"key_alias": "ann", "role": "viewer"})
    async with listening(guarded, secret=viewer["key"]) as listener:
        await guarded.post("/key/update", {"key": "ann", "rpm_limit": 1})  # which takes nothing away
        guarded.finish()
        assert (await listener.event())["event"] == "call.started"
        assert (await listener.event())["event"] == "call.finished"
        await guarded.post(f"/key/{path}", {"key": "ann", **fields})
        guarded.finish()
        assert await listener.event() is None
