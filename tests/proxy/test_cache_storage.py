"""The storage of cached contents: accrues by the second, is charged once, whatever happens to the process."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import trio
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from rig.cases import cases
from rig.gateway import Running, running
from rig.standin import Reply, StandIn

from gatekeeper.gemini.billed_resources import CachedContent
from gatekeeper.ledger.call import CallRecord, Outcome, PendingCharge
from gatekeeper.pricing.price_components import CACHE_TOKEN_SECONDS
from gatekeeper.proxy.cache_storage import PERIOD, SECOND, is_due, pending_storage, storage_rows
from gatekeeper.startup import load_catalogue
from gatekeeper.times import DAY, iso, to_micros, utc_day

CATALOGUE = load_catalogue()
NOON = to_micros(datetime(2026, 1, 15, 12, tzinfo=UTC))
NAME = "cachedContents/c1"
HOUR_PICO = 10**12  # 1,000,000 tokens of 2.5 Flash: a dollar an hour
MILLION = 10**6


def made(created: int = NOON, expires: int = NOON + PERIOD, tokens: int = MILLION) -> CallRecord:
    """The row of a creation."""
    call = CallRecord(
        id="0", started_at=created, method="POST", path="/", model="gemini-2.5-flash", key_id="k"
    )
    content = CachedContent(name=NAME, tokens=tokens, created_at=created, expires_at=expires)
    return replace(call, pending=pending_storage(call, content), outcome=Outcome.OK, tags=["a"])


def accrued(state: CallRecord, *moments: int, deleted: bool = False) -> list[CallRecord]:
    """The rows of a process that looks at these times; with `deleted` the last is that of the deletion."""
    rows: list[CallRecord] = []
    for number, now in enumerate(moments, 1):
        for row in storage_rows(state, now, CATALOGUE, ended=deleted and number == len(moments)):
            state = row
            rows.append(row)
    return rows


def seconds(rows: list[CallRecord]) -> list[float]:
    return [(row.billed_units or {})[CACHE_TOKEN_SECONDS] / MILLION for row in rows if row.billed_units]


def test_one_hour_of_a_million_tokens() -> None:
    (row,) = accrued(made(), NOON + PERIOD)
    assert (row.cost_pico, row.billed_units) == (HOUR_PICO, {CACHE_TOKEN_SECONDS: 3600 * MILLION})
    assert (row.action, row.resource, row.method, row.path, row.status) == (
        "cache.storage",
        NAME,
        "",
        "",
        None,
    )
    assert (row.key_id, row.tags, row.model, row.outcome) == ("k", ["a"], "gemini-2.5-flash", "ok")
    assert (row.started_at, row.duration_ms) == (NOON, 3_600_000)
    assert row.pending == PendingCharge(begun_by="0")


HALF = SECOND // 2
# When it expires, when it is looked at, whether the last look is its deletion; the seconds of each row.
CASES: dict[str, tuple[int, list[int], bool, list[int]]] = {
    "not yet": (10 * PERIOD, [0, HALF], False, []),
    "hours": (10 * PERIOD, [PERIOD, 2 * PERIOD + HALF], False, [3600, 3600]),
    "a part of a second waits": (10 * PERIOD, [PERIOD + HALF, 2 * PERIOD + SECOND], False, [3600, 3601]),
    "it expires in between": (PERIOD + 90 * SECOND, [PERIOD, 2 * PERIOD], False, [3600, 90]),
    "the end is rounded up": (PERIOD, [90 * SECOND + HALF], True, [91]),
    "the end is rounded down": (PERIOD, [90 * SECOND + HALF - 1], True, [90]),
    "deleted at once": (PERIOD, [HALF - 1], True, []),
    "deleted after it has expired": (PERIOD, [3 * PERIOD], True, [3600]),
    "over midnight": (48 * PERIOD, [13 * PERIOD], True, [12 * 3600, 3600]),
    "down for days": (48 * PERIOD, [9 * DAY], False, [12 * 3600, 24 * 3600, 12 * 3600]),
}


@cases("name", CASES)
def test_what_accrues(name: str) -> None:
    expires, moments, deleted, expected = CASES[name]
    rows = accrued(made(expires=NOON + expires), *[NOON + moment for moment in moments], deleted=deleted)
    charged = [row for row in rows if row.action == "cache.storage"]
    assert seconds(charged) == expected
    ended = deleted or NOON + moments[-1] >= NOON + expires
    assert ended == bool(rows and rows[-1].pending and rows[-1].pending.resource is None)


@given(
    created=st.integers(NOON, NOON + DAY),
    life=st.integers(0, 5 * DAY),
    looks=st.lists(st.integers(0, 6 * DAY), max_size=8),
    tokens=st.integers(0, 3 * MILLION),
    deleted=st.booleans(),
)
def test_the_rows_make_up_the_whole_time_however_often_it_is_looked_at(
    created: int, life: int, looks: list[int], tokens: int, deleted: bool
) -> None:
    state = made(created, created + life, tokens)
    last = created + (max(looks, default=0) if deleted else 6 * DAY)
    rows = accrued(state, *sorted(created + look for look in looks), last, deleted=deleted)
    lived = (min(last, created + life) - created + HALF) // SECOND
    # The last row again, if nothing more was to be charged at the end.
    charged = list({row.id: row for row in rows if row.action == "cache.storage"}.values())
    assert sum((row.billed_units or {})[CACHE_TOKEN_SECONDS] or 0 for row in charged) == tokens * lived
    at = created
    for row in charged:
        assert row.started_at == at
        at += round((row.duration_ms or 0) * 1000)
        assert utc_day(row.started_at) == utc_day(max(row.started_at, at - SECOND))
    assert rows[-1].pending == PendingCharge(begun_by="0")
    assert list(storage_rows(rows[-1], last + DAY, CATALOGUE)) == []


def test_it_is_due_each_hour_and_when_it_expires() -> None:
    state = made(expires=NOON + PERIOD + SECOND)
    assert [is_due(state, NOON + at) for at in (0, PERIOD - 1, PERIOD)] == [False, False, True]
    (hour,) = accrued(state, NOON + PERIOD)
    assert [is_due(hour, NOON + PERIOD + at) for at in (0, SECOND)] == [False, True]
    assert not is_due(CallRecord(id="1", started_at=1, method="", path=""), NOON)


def test_without_a_price_it_is_unknown_and_says_so() -> None:
    state = replace(made(), model="gemini-unheard-of")
    (row,) = accrued(state, NOON + PERIOD)
    assert (row.cost_pico, row.price_version) == (None, None)
    assert "gemini-unheard-of" in (row.usage_note or "")


# The gateway


def cache(expires: int = NOON + PERIOD, **more: Any) -> bytes:
    document = {
        "name": NAME,
        "model": "models/gemini-2.5-flash",
        "createTime": iso(NOON),
        "expireTime": iso(expires),
        "usageMetadata": {"totalTokenCount": MILLION},
    }
    return json.dumps(document | more).encode()


Script = Callable[[Reply], Any]


def says(body: bytes, status: int = 200) -> Script:
    return lambda reply: reply.json(body, status)


async def ask(
    gateway: Running, google: StandIn, method: str, path: str, script: Script, key: str = "k"
) -> None:
    google.script = script
    body = {"model": "models/gemini-2.5-flash", "ttl": "3600s"} if method in ("POST", "PATCH") else None
    await gateway.client.request(
        method, f"/gemini/v1beta/{path}", json=body, headers={"x-goog-api-key": key, "tags": "a"}
    )


def sweep(gateway: Running, after: int) -> None:
    gateway.gateway.proxy.context.deferred.sweep(NOON + after, CATALOGUE)


async def storage(gateway: Running) -> list[Decimal | None]:
    """The cost of each row of storage, in dollars."""
    rows = [row for row in await gateway.rows() if row["action"] == "cache.storage"]
    return [row["cost_usd"] and Decimal(row["cost_usd"]) for row in rows]


async def test_an_hour_is_in_the_spend_once_and_is_no_call(guarded: Running, google: StandIn) -> None:
    owner = await guarded.key()
    await ask(guarded, google, "POST", "cachedContents", says(cache()), owner)
    for after in (0, PERIOD - SECOND, PERIOD, PERIOD, 2 * PERIOD):
        sweep(guarded, after)
    master = {"authorization": "Bearer master-of-the-tests"}
    report = (await guarded.client.get("/spend", params={"by": "tag"}, headers=master)).json()
    (row,) = report["rows"]
    assert (row["tag"], row["calls"], row["cost_usd"], row["unpriced_calls"]) == ("a", 1, "1.000000000000", 0)
    assert report["total"]["cost_usd"] == "1.000000000000"
    state = guarded.gateway.registry.find(owner, NOON)
    assert state is not None
    assert state.spend_pico == HOUR_PICO
    last_used = state.last_used_at
    sweep(guarded, 99 * PERIOD)
    assert state.last_used_at == last_used
    shown = (await guarded.client.get("/models", headers=master)).text
    assert '"calls":1' in shown.replace(" ", "")


async def test_a_gateway_that_was_down_charges_that_time_at_its_start(
    google: StandIn, tmp_path: Path
) -> None:
    async with running(tmp_path, google.url) as gateway:
        await ask(gateway, google, "POST", "cachedContents", says(cache(NOON + 9 * PERIOD)))
        sweep(gateway, PERIOD)
        assert await storage(gateway) == [1]
    for _ in range(2):
        async with running(tmp_path, google.url) as gateway:
            # The first look at what is due comes after the start.
            with trio.fail_after(5):
                while len(charged := await storage(gateway)) < 2:
                    await trio.sleep(0.005)
            assert charged == [1, 8]


GONE = json.dumps(
    {"error": {"code": 403, "message": "CachedContent not found (or permission denied)"}}
).encode()
DENIED = json.dumps({"error": {"code": 403, "message": "The API is disabled."}}).encode()
LONGER = cache(NOON + 3 * PERIOD)
# What is asked meanwhile, and Google's answer; how many hours are charged in the end.
EVENTS: dict[str, tuple[str, str, Script, int | None]] = {
    "nothing": ("GET", "files", says(b"{}"), 1),
    "an update": ("PATCH", NAME, says(LONGER), 3),
    "a read that shows an update": ("GET", NAME, says(LONGER), 3),
    "a read with a field mask": ("GET", f"{NAME}?fields=name", says(LONGER), 1),
    "a read that fails": ("GET", NAME, says(DENIED, 403), 1),
    "an update that fails": ("PATCH", NAME, says(DENIED, 400), 1),
    "another one's update": ("PATCH", "cachedContents/c2", says(LONGER), 1),
    "a deletion": ("DELETE", NAME, says(b"{}"), None),
    "a read of what is gone": ("GET", NAME, says(GONE, 403), None),
    "a read of what is not there": ("GET", NAME, says(GONE, 404), None),
}


@cases("name", EVENTS)
async def test_it_is_charged_until_it_ends(gateway: Running, google: StandIn, name: str) -> None:
    method, path, script, hours = EVENTS[name]
    await ask(gateway, google, "POST", "cachedContents", says(cache()))
    await ask(gateway, google, method, path, script)
    sweep(gateway, 9 * PERIOD)
    charged = await storage(gateway)
    pending = gateway.gateway.proxy.context.deferred.pending
    assert pending.all() == []
    if hours is not None:
        assert charged == [hours]
    costs = {row["action"]: row["cost_usd"] for row in await gateway.rows() if row["status"] == 200}
    assert {
        costs.get(action, "0.000000000000") for action in ("cachedContents.create", "cachedContents.patch")
    } == {"0.000000000000"}


@cases("missing", ["usageMetadata", "createTime", "expireTime"])
async def test_without_tokens_or_times_the_row_says_so(
    gateway: Running, google: StandIn, missing: str
) -> None:
    await ask(gateway, google, "POST", "cachedContents", says(cache(**{missing: None})))
    (row,) = await gateway.rows()
    assert row["cost_usd"] is None
    assert row["usage_note"].startswith("its storage cannot be charged")
