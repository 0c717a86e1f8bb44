"""Sums over HTTP, ours and LiteLLM's."""

from __future__ import annotations

import json
from decimal import Decimal

from rig.cases import cases

from gatekeeper.ledger.call import Outcome

NOON = 1_750_852_800_000_000  # 2025-06-25T12:00:00Z

NOTHING = {
    "calls": 0,
    "errors": 0,
    "prompt_tokens": 0,
    "cached_tokens": 0,
    "output_tokens": 0,
    "thoughts_tokens": 0,
    "total_tokens": 0,
    "cost_usd": "0.000000000000",
    "unpriced_calls": 0,
}


async def test_a_call_counts_the_moment_it_has_ended_under_each_of_its_tags_and_once_in_the_total(admin):
    assert (await admin.get("/spend"))["total"] == NOTHING
    admin.priced(tags=["a", "b"])
    admin.finish(status=500, outcome=Outcome.UPSTREAM_ERROR, tags=["b"], cost_pico=0)
    spend = await admin.get("/spend", by="tag")
    assert [(row["tag"], row["calls"], row["errors"], row["cost_usd"]) for row in spend["rows"]] == [
        ("b", 2, 1, "0.001188700000"),
        ("a", 1, 0, "0.001188700000"),
    ]
    assert (spend["total"]["calls"], spend["total"]["cost_usd"]) == (2, "0.001188700000")


async def test_groups_times_filter_and_limit_choose_the_rows(admin):
    admin.priced(user_id="ann")
    admin.priced(user_id="ann")
    admin.priced(user_id=None, model="gemini-2.5-pro")
    both = await admin.get("/spend", by="user,model", since="2025-06-25", until="2025-06-26")
    assert [(row["user"], row["model"], row["calls"]) for row in both["rows"]] == [
        ("ann", "gemini-2.5-flash", 2),
        (None, "gemini-2.5-pro", 1),
    ]
    one = await admin.get("/spend", by="model", q="user:ann")
    assert [row["model"] for row in one["rows"]] == ["gemini-2.5-flash"]
    cut = await admin.get("/spend", by="model", limit=1)
    assert (len(cut["rows"]), cut["total"]["calls"]) == (1, 3)
    assert (await admin.get("/spend", since="1h"))["total"] == NOTHING


@cases("since", ["0001-01-01T00:00:00+23:59", "0001-01-01T00:00:00Z", "0001-01-01"])
async def test_since_ever_may_be_any_early_time(admin, since):
    found = await admin.get("/spend", since=since, until="9999-12-31T23:59:59-23:59")
    assert found["total"] == (await admin.get("/spend"))["total"]
    assert (found["since"], found["until"]) == ("1900-01-01T00:00:00.000000Z", "3000-01-01T00:00:00.000000Z")


async def test_the_calls_of_each_minute_in_order_of_time_and_their_tokens(admin):
    for minute in (3, 0, 3):
        admin.end(admin.start(started_at=NOON + minute * 60_000_000 + 59_999_999), total_tokens=7)
    minutes = await admin.get("/spend", by="minute", since="2025-06-25T12:00:00Z")
    assert [(row["minute"], row["calls"], row["total_tokens"]) for row in minutes["rows"]] == [
        ("2025-06-25T12:00:00Z", 1, 7),
        ("2025-06-25T12:03:00Z", 2, 14),
    ]


async def test_the_top_groups_and_the_rest_of_each_day(admin):
    for user in ("ann", "ann", "bob", None):
        admin.priced(user_id=user)
    top = await admin.get("/spend", by="day,user", top=1)
    assert [(row["day"], row["user"], row.get("other"), row["calls"]) for row in top["rows"]] == [
        ("2025-06-25", "ann", None, 2),
        ("2025-06-25", None, True, 2),
    ]
    assert top["rows"][1]["groups"] == 2
    assert "truncated" not in top
    refused = await admin.client.get("/spend", params={"by": "day", "top": "8"})
    assert (refused.status_code, refused.json()["field"]) == (400, "by")
    assert "add one of tag, model, key, user" in refused.json()["detail"]


@cases("name", ["since", "until", "by", "limit", "top"])
async def test_an_empty_parameter_does_not_widen_the_question(admin, name):
    refused = await admin.client.get("/spend", params={name: ""})
    assert (refused.status_code, refused.json()["field"]) == (400, name)


async def test_a_cut_answer_says_what_is_missing(admin):
    for user in ("ann", "bob", "cy"):
        admin.priced(user_id=user)
    cut = await admin.get("/spend", by="user", limit=1)
    assert (cut["truncated"], cut["rest"]["rows"], cut["rest"]["cost_usd"]) == (True, 2, "0.002377400000")


async def test_the_points_of_time_that_were_meant_are_in_the_answer(serve):
    async with serve(GATEKEEPER_TIMEZONE="Europe/Berlin") as admin:
        admin.priced()
        spend = await admin.get("/spend", since="2025-06-25", until="2025-06-26T00:00:00.5+00:00")
        bounds = {name: spend[name] for name in ("since", "until", "timezone")}
        assert bounds == {
            "since": "2025-06-24T22:00:00.000000Z",
            "until": "2025-06-26T00:00:00.500000Z",
            "timezone": "Europe/Berlin",
        }
        calls = await admin.get("/calls", since=bounds["since"], until=bounds["until"])
        assert len(calls["calls"]) == spend["total"]["calls"] == 1
        assert (await admin.get("/spend"))["since"] is None


async def test_days_and_dates_are_those_of_the_settings_timezone(serve):
    async with serve(GATEKEEPER_TIMEZONE="Pacific/Kiritimati") as admin:  # 14 hours ahead
        admin.priced()
        assert [row["day"] for row in (await admin.get("/spend", by="day"))["rows"]] == ["2025-06-26"]
        assert (await admin.get("/spend", since="2025-06-26"))["total"]["calls"] == 1
        assert (await admin.get("/spend", until="2025-06-26"))["total"]["calls"] == 0


async def test_tags_as_litellm_answers_them(admin):
    admin.priced(tags=["jobs"])
    admin.finish(tags=["free"], cost_pico=None)
    admin.priced()
    text = (await admin.client.get("/spend/tags")).text
    assert json.loads(text, parse_float=Decimal) == [
        {"individual_request_tag": "jobs", "log_count": 1, "total_spend": Decimal("0.001188700000")},
        {"individual_request_tag": "free", "log_count": 1, "total_spend": None},
    ]


async def test_thoughts_are_summed_apart_as_they_are_in_a_call(admin):
    admin.priced(thoughts_tokens=81)
    admin.priced(thoughts_tokens=19)
    total = (await admin.get("/spend"))["total"]
    assert (total["output_tokens"], total["thoughts_tokens"]) == (662, 100)


async def test_logs_as_litellm_answers_them(admin):
    call = admin.priced(tags=["jobs"], user_id="ann", thoughts_tokens=81, key_alias="web", key_id="key_1")
    (log,) = await admin.get("/spend/logs")
    assert {
        "request_id": call.id,
        "call_type": "generateContent",
        "api_key": "key_1",
        "model": "gemini-2.5-flash",
        "spend": 0.0011887,
        "total_tokens": 1535,
        "prompt_tokens": 1204,
        "completion_tokens": 331 + 81,
        "startTime": "2025-06-25T12:00:00.000000Z",
        "completionStartTime": "2025-06-25T12:00:00.250000Z",
        "endTime": "2025-06-25T12:00:01.500000Z",
        "request_tags": ["jobs"],
        "end_user": "ann",
        "user": "ann",
        "status": "success",
    }.items() <= log.items()
    assert log["metadata"]["user_api_key_alias"] == "web"


async def test_logs_of_calls_without_an_answer(admin):
    admin.finish(
        status=None, outcome=Outcome.UPSTREAM_UNREACHABLE, duration_ms=None, first_byte_ms=None, model=None
    )
    (log,) = await admin.get("/spend/logs")
    assert (log["status"], log["spend"], log["endTime"], log["completion_tokens"]) == ("failure", *[None] * 3)
    assert (log["model"], log["user"]) == ("", "")


async def test_logs_are_chosen_as_litellm_does(admin):
    secret = "sk-of-a-key-that-calls"
    made = await admin.post("/key/generate", {"key": secret, "key_alias": "web"})
    mine = admin.priced(key_id=made["token_id"], user_id="ann").id
    other = admin.priced(user_id="bob").id

    async def logs(**params):
        return [log["request_id"] for log in await admin.get("/spend/logs", **params)]

    assert await logs() == [other, mine]
    for name in (secret, made["token_id"], "web"):
        assert await logs(api_key=name) == [mine]
    assert await logs(api_key="open") == [other]
    assert await logs(user_id="bob") == [other]
    assert await logs(request_id=mine) == [mine]
    assert await logs(start_date="2025-06-25", end_date="2025-06-25", summarize="false") == [other, mine]
    assert await logs(start_date="2025-06-26") == await logs(end_date="2025-06-24") == []
    assert await logs(limit=1) == [other]
    assert await logs(limit=1, cursor=other) == [mine]


async def test_tags_of_a_range_of_dates(admin):
    admin.priced(tags=["x"])
    for dates, tags in (
        ({"start_date": "2025-06-26"}, []),
        ({"end_date": "2025-06-24"}, []),
        ({"end_date": "2025-06-25"}, ["x"]),
        ({"end_date": "9999-12-31"}, ["x"]),
    ):
        found = await admin.get("/spend/tags", **dates)
        assert [row["individual_request_tag"] for row in found] == tags, dates
