"""Calls over HTTP: the list, and one call with its arithmetic."""

from __future__ import annotations

import base64
from uuid import UUID

import msgspec
from rig.cases import cases
from uuid_utils import uuid7

from gatekeeper.ledger.call import COLUMNS, Outcome
from gatekeeper.pricing.cost_notes import PENDING, SUM_DIFFERS


async def ids(admin, **params):
    return [call["id"] for call in (await admin.get("/calls", **params))["calls"]]


async def test_a_call_is_listed_the_moment_it_has_ended(admin):
    running = admin.start()
    assert await ids(admin) == []
    admin.end(running)
    (call,) = (await admin.get("/calls"))["calls"]
    assert call["id"] == running.id
    assert list(call) == list(COLUMNS)


async def test_a_call_reads_as_the_columns_say(admin):
    admin.priced(tags=["checkout", "eu"])
    (call,) = (await admin.get("/calls"))["calls"]
    assert call["started_at"] == "2025-06-25T12:00:00.000000Z"
    assert call["cost_usd"] == "0.001188700000"
    assert call["usage"] == {"promptTokenCount": 1204, "candidatesTokenCount": 331, "totalTokenCount": 1535}
    assert call["tags"] == ["checkout", "eu"]
    assert call["thoughts_tokens"] is None


async def test_pages_hold_every_call_once_newest_first(admin):
    made = [admin.finish().id for _ in range(5)]
    pages, cursor = [], ""
    while cursor is not None:
        page = await admin.get("/calls", limit=2, cursor=cursor)
        pages.append([call["id"] for call in page["calls"]])
        cursor = page["next_cursor"]
    assert pages == [[made[4], made[3]], [made[2], made[1]], [made[0]]]


async def test_a_page_that_is_just_full_is_the_last(admin):
    admin.finish()
    assert (await admin.get("/calls", limit=1))["next_cursor"] is None


async def test_calls_are_chosen_by_filter_and_time(admin):
    old = admin.end(admin.start(started_at=1_000_000), tags=["a, b"])
    new = admin.finish(status=429, outcome=Outcome.UPSTREAM_ERROR)
    assert await ids(admin, q="status:4xx") == [new.id]
    assert await ids(admin, q='tag:"a, b"') == [old.id]
    assert await ids(admin, since="2025-06-25") == [new.id]
    assert await ids(admin, until="2025-06-25T12:00:00Z") == [old.id]
    assert await ids(admin, since="1h") == []
    assert await ids(admin, q="") == [new.id, old.id]


async def pages(admin, **params):
    """The ids of each page, to the last."""
    found, cursor = [], ""
    while cursor is not None:
        page = await admin.get("/calls", **params, cursor=cursor)
        found.append([call["id"] for call in page["calls"]])
        cursor = page["next_cursor"]
    return found


async def test_calls_are_sorted_by_what_is_known_of_them_the_unknown_last_equal_ones_newest_first(admin):
    prices = (30, None, 10, 20, 20, None, 10**17)
    made = [admin.finish(cost_pico=price, model=f"m{index % 3}") for index, price in enumerate(prices)]
    named = {call.id: index for index, call in enumerate(made)}

    async def order(sort, **params):
        found = await pages(admin, sort=sort, **params)
        assert all(len(page) == params.get("limit", 100) for page in found[:-1])
        return [named[call_id] for page in found for call_id in page]

    for limit in (1, 2, 3, 7):
        assert await order("-cost", limit=limit) == [6, 0, 4, 3, 2, 5, 1]
        assert await order("cost_usd", limit=limit) == [2, 4, 3, 0, 6, 5, 1]
        assert await order("model", limit=limit) == [6, 3, 0, 4, 1, 5, 2]
        assert await order("started", limit=limit) == [0, 1, 2, 3, 4, 5, 6]
    assert await order("-cost", q="cost:none") == [5, 1]
    assert await order("-started_at") == [6, 5, 4, 3, 2, 1, 0]


async def test_a_page_of_sorted_calls_stays_where_it_was_though_others_end(admin):
    made = [admin.finish(duration_ms=float(number)) for number in (0.1, 0.30000000000000004, 2, 3)]
    first = await admin.get("/calls", sort="duration", limit=2)
    assert [call["id"] for call in first["calls"]] == [made[0].id, made[1].id]
    admin.finish(duration_ms=0.2)
    second = await admin.get("/calls", sort="duration", limit=2, cursor=first["next_cursor"])
    assert [call["id"] for call in second["calls"]] == [made[2].id, made[3].id]
    assert second["next_cursor"] is None


@cases("other", ["-duration", "cost", "started", None])
async def test_a_cursor_is_one_of_its_own_order(admin, other):
    for _ in range(2):
        admin.finish()
    cursor = (await admin.get("/calls", sort="duration", limit=1))["next_cursor"]
    params = {"sort": other, "cursor": cursor} if other else {"cursor": cursor}
    answer = await admin.client.get("/calls", params=params)
    assert (answer.status_code, answer.json()["field"]) == (400, "cursor")


@cases(
    "content",
    [
        b'["cost", "free", "019ab2c3-d4e5-7f60-8192-a3b4c5d6e7f8"]',
        b'["cost", "1e400", "019ab2c3-d4e5-7f60-8192-a3b4c5d6e7f8"]',
        b'["cost", 1, "019ab2c3-d4e5-7f60-8192-a3b4c5d6e7f8"]',
        b'["cost", "1", "me"]',
        b'["cost", "1"]',
        b"cost",
    ],
)
async def test_a_cursor_that_no_page_has_is_refused(admin, content):
    admin.priced()
    cursor = base64.urlsafe_b64encode(content).decode().rstrip("=")
    answer = await admin.client.get("/calls", params={"sort": "cost", "cursor": cursor})
    assert (answer.status_code, answer.json()["field"]) == (400, "cursor")


async def test_calls_in_flight_are_listed_newest_first_in_pages(admin):
    admin.finish()
    running = [admin.start(model=model) for model in ("a", "b", "a", "a")]
    found = await admin.get("/calls", running="true")
    assert [call["id"] for call in found["calls"]] == [call.id for call in running[::-1]]
    assert {call["outcome"] for call in found["calls"]} == {None}
    assert found["next_cursor"] is None
    expected = [[running[3].id, running[2].id], [running[0].id]]
    assert await pages(admin, running="true", q="model:a", limit=2) == expected
    assert await ids(admin, running="true", q="cost:none -model:a") == [running[1].id]
    assert await ids(admin, running="true", until="1d") == [call.id for call in running[::-1]]
    assert await ids(admin, running="true", since="1h") == []
    admin.end(running[3])
    assert len(await ids(admin, running="true")) == 3
    assert len(await ids(admin, running="false")) == 2


async def test_of_many_calls_in_flight_each_is_listed_once(admin):
    running = [admin.start() for _ in range(600)]
    found = [call_id for page in await pages(admin, running="true", limit=599) for call_id in page]
    assert found == [call.id for call in running[::-1]]


async def test_a_call_in_flight_is_shown_as_far_as_it_has_come(admin):
    running = admin.start(model="gemini-2.5-pro")
    call = await admin.get(f"/calls/{running.id}")
    assert (call["model"], call["outcome"], call["cost"]) == ("gemini-2.5-pro", None, None)
    admin.end(running)
    assert (await admin.get(f"/calls/{running.id}"))["outcome"] == "ok"


async def test_one_call_has_its_usage_as_received_and_the_arithmetic_of_its_cost(admin):
    call = await admin.get(f"/calls/{admin.priced().id}")
    assert call["usage"]["promptTokenCount"] == 1204
    assert call["cost_usd"] == "0.001188700000"
    assert call["cost"]["cost_usd"] == "0.0011887"
    assert [(line["component"], line["quantity"], line["usd"]) for line in call["cost"]["lines"]] == [
        ("input_text", "1204", "0.0003612"),
        ("output_text", "331", "0.0008275"),
    ]
    assert call["cost"]["price_version"] == call["price_version"]
    assert call["cost"]["notes"] == []


async def test_the_arithmetic_follows_the_tier_and_the_model_that_served(admin):
    call = admin.priced(service_tier="batch", model="gemini-flash-latest")
    cost = (await admin.get(f"/calls/{call.id}"))["cost"]
    assert (cost["model"], cost["cost_usd"]) == ("gemini-2.5-flash", "0.00059435")


async def test_what_is_billed_beside_tokens_is_part_of_the_arithmetic(admin):
    call = admin.priced(billed_units={"image_each": 2}, cost_pico=None, price_version=None)
    cost = (await admin.get(f"/calls/{call.id}"))["cost"]
    assert (cost["cost_usd"], cost["lines"]) == (None, [])
    assert "image_each" in cost["notes"][0]


async def test_a_row_with_another_sum_than_the_catalogue_in_force_says_so(admin):
    call = admin.priced(price_version="2020-01-01", cost_pico=1)
    (note,) = (await admin.get(f"/calls/{call.id}"))["cost"]["notes"]
    assert "0.000000000001 USD by the catalogue 2020-01-01" in note
    same = admin.priced(price_version="2020-01-01")
    assert (await admin.get(f"/calls/{same.id}"))["cost"]["notes"] == []


async def test_a_call_without_a_known_price_has_no_lines_and_the_reason(admin):
    call = admin.priced(model_version="gemini-99-ultra", cost_pico=None, price_version=None)
    cost = (await admin.get(f"/calls/{call.id}"))["cost"]
    assert (cost["cost_usd"], cost["lines"]) == (None, [])
    assert "gemini-99-ultra" in cost["notes"][-1]


async def test_a_call_that_has_got_a_price_since_says_how_to_set_it(admin):
    call = admin.priced(cost_pico=None, price_version=None)
    shown = await admin.get(f"/calls/{call.id}")
    assert (shown["cost_usd"], shown["cost"]["cost_usd"]) == (None, "0.0011887")
    assert "reprice" in shown["cost"]["notes"][-1]


async def test_what_the_usage_alone_does_not_say_is_not_made_up(admin):
    pending = admin.priced(cost_pico=None, price_version=None, usage_note=f"{PENDING} batches/b will tell it")
    cost = (await admin.get(f"/calls/{pending.id}"))["cost"]
    assert (cost["cost_usd"], cost["notes"]) == (None, [pending.usage_note])
    more = admin.priced(cost_pico=1, usage_note=SUM_DIFFERS)
    assert "not the price of its usage" in (await admin.get(f"/calls/{more.id}"))["cost"]["notes"][-1]


@cases(
    ("fields", "why"),
    [
        ({"status": 403, "outcome": Outcome.REFUSED}, "refused"),
        ({"status": 429, "outcome": Outcome.UPSTREAM_ERROR}, "responses of 429 cost nothing"),
        ({"action": "countTokens"}, "calls of countTokens cost nothing"),
        (
            {"status": None, "outcome": Outcome.CLIENT_DISCONNECTED},
            "the client left before all of its request was sent",
        ),
        ({"action": None}, "this method and path"),
    ],
)
async def test_a_call_that_costs_nothing_says_why(admin, fields, why):
    call = admin.finish(cost_pico=0, **fields)
    shown = await admin.get(f"/calls/{call.id}")
    assert (shown["cost_usd"], shown["cost"]["cost_usd"], shown["cost"]["lines"]) == (
        "0.000000000000", "0", [],
    )  # fmt: skip
    assert why in shown["cost"]["notes"][0]


async def test_a_call_is_shown_though_its_pricing_raises(admin):
    call = admin.priced()
    context = admin.gateway.proxy.context
    context.catalogue = msgspec.structs.replace(context.catalogue, exact=None)  # any look at it raises
    shown = await admin.get(f"/calls/{call.id}")
    assert (shown["cost_usd"], shown["cost"]["cost_usd"]) == ("0.001188700000", None)
    assert "fault" in shown["cost"]["notes"][0]


async def test_an_id_nobody_has_is_not_found(admin):
    for call_id in (str(uuid7()), "nonsense", str(UUID(int=0))):
        response = await admin.client.get(f"/calls/{call_id}")
        assert response.status_code == 404
        assert call_id in response.json()["detail"]


async def test_answers_are_json_that_nobody_stores(admin):
    response = await admin.client.get("/calls")
    assert response.headers["content-type"] == "application/json"
    assert response.headers["cache-control"] == "no-store"
    assert msgspec.json.decode(response.content) == {"calls": [], "next_cursor": None}


async def chain_of(admin, call):
    """The ids of the calls in the chain that this call shows, and their sum."""
    shown = await admin.get(f"/calls/{call.id}")
    return [hop["id"] for hop in shown.get("chain", [])], shown.get("chain_total")


async def test_each_call_of_a_long_decode_shows_all_of_it(admin):
    first = admin.priced(finish_reason="CONTINUATION")
    admin.priced()
    second = admin.priced(continues=first.id, finish_reason="CONTINUATION", cost_pico=None)
    third = admin.priced(continues=second.id, finish_reason="STOP")
    chains = [await chain_of(admin, call) for call in (first, second, third)]
    assert [ids for ids, _ in chains] == [[first.id, second.id, third.id]] * 3
    assert chains[0][1] == chains[2][1]
    total = chains[0][1]
    assert (total["calls"], total["prompt_tokens"], total["output_tokens"]) == (3, 3 * 1204, 3 * 331)
    assert (total["cost_usd"], total["unpriced_calls"]) == ("0.002377400000", 1)
    (hop, *_) = (await admin.get(f"/calls/{third.id}"))["chain"]
    assert (hop["finish_reason"], hop["output_tokens"], hop["cost_usd"]) == (
        "CONTINUATION",
        331,
        "0.001188700000",
    )


async def test_a_call_that_stands_alone_has_no_chain(admin):
    alone = admin.priced()
    # Of a call that is not in the file any more.
    orphan = admin.priced(continues=str(uuid7()))
    itself = admin.priced()
    for call in (alone, orphan, itself):
        assert await chain_of(admin, call) == ([], None)


async def test_a_repeated_hop_is_in_the_chain_too(admin):
    gone = str(uuid7())
    first = admin.priced(continues=gone)
    again = [admin.priced(continues=first.id) for _ in range(2)]
    last = admin.priced(continues=again[1].id)
    assert (await chain_of(admin, last))[0] == [first.id, *(call.id for call in again), last.id]
    assert (await chain_of(admin, again[0]))[0] == [first.id, *(call.id for call in again), last.id]


async def test_a_circle_which_no_gateway_writes_ends(admin):
    one, other = str(uuid7()), str(uuid7())
    first = admin.priced(id=one, continues=other)
    admin.priced(id=other, continues=one)
    assert (await chain_of(admin, first))[0] == [one, other]


async def test_what_may_be_on_a_bill_is_found_by_one_filter(admin):
    """As `spend --reconcile` asks: calls of unknown cost are among them, those that cost nothing are not."""
    admin.finish(cost_pico=0)
    wanted = [admin.priced().id, admin.finish(cost_pico=None).id]
    found = await admin.get("/calls", q="-cost:<=0")
    assert [call["id"] for call in found["calls"]] == wanted[::-1]


async def test_a_call_that_used_nothing_says_so(admin):
    call = admin.priced(
        action="predict", model="imagen-4.0-generate-001", model_version=None, usage=None, cost_pico=0,
        billed_units={"image_each": 0},
    )  # fmt: skip
    cost = (await admin.get(f"/calls/{call.id}"))["cost"]
    assert (cost["cost_usd"], cost["lines"]) == ("0", [])
    assert cost["notes"] == ["the call used nothing that is charged"]
