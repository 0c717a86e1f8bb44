"""A gateway whose upstream leads back to it: the call is refused when it loops back, and nowhere else."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from rig.gateway import Running, running
from rig.standin import StandIn
from rig.wire import exchange

from gatekeeper.upstream.pool import UpstreamPool

LINE = "POST /gemini/v1beta/models/gemini-2.5-flash:generateContent?key=k"


@contextmanager
def leading(gateway: Running, to: Running) -> Generator[None]:
    upstream = UpstreamPool(f"{to.url}/gemini", connect_timeout=1)
    gateway.gateway.proxy.context.upstream = upstream
    yield
    upstream.close_idle()


async def test_a_gateway_that_is_its_own_upstream_refuses_the_call_after_one_hop(
    gateway: Running, guarded: Running
) -> None:
    key = await guarded.key()
    for one in (gateway, guarded):
        with leading(one, one):
            answer = await exchange(one.url, LINE, body=b"{}", headers=[f"x-goog-api-key: {key}"])
        assert (answer.status, answer.reason) == (502, "GATEKEEPER_UPSTREAM_UNREACHABLE")
        assert b"Request loop detected" in answer.body
        await one.row(2)
        rows = {row["outcome"]: row for row in await one.rows()}
        assert rows.keys() == {"refused", "upstream_error"}
        assert answer.headers["x-gatekeeper-call-id"] == rows["upstream_error"]["id"]


async def test_two_gateways_in_a_ring_refuse_it_when_it_comes_round(gateway: Running, tmp_path: Path) -> None:
    async with running(tmp_path / "other", gateway.url) as other:
        with leading(gateway, other), leading(other, gateway):
            answer = await exchange(gateway.url, LINE, body=b"{}")
        assert (answer.status, answer.reason) == (502, "GATEKEEPER_UPSTREAM_UNREACHABLE")
        assert (await other.row())["outcome"] == "upstream_error"
        assert (await gateway.row(2))["id"]


async def test_two_gateways_in_a_row_and_ids_of_calls_that_are_over_pass(
    gateway: Running, google: StandIn, tmp_path: Path
) -> None:
    async with running(tmp_path / "front", f"{gateway.url}/gemini") as front:
        first = await exchange(front.url, LINE, body=b"{}")
        assert first.status == 200
        own = f"x-gatekeeper-call-id: {first.headers['x-gatekeeper-call-id']}"
        assert (await exchange(front.url, LINE, body=b"{}", headers=[own])).status == 200
        assert len(google.asked[-1].header("x-gatekeeper-call-id")[0].split(", ")) == 3


async def test_google_is_told_nothing() -> None:
    assert not UpstreamPool("https://generativelanguage.googleapis.com", connect_timeout=1).may_be_gateway
    assert UpstreamPool("https://googleapis.com.example", connect_timeout=1).may_be_gateway
