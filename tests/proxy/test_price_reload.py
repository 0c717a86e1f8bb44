"""The user's own prices of a running gateway: what changes with the file, and what a faulty one leaves."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import trio
from rig.gateway import Running
from rig.logs import capture_logs
from rig.standin import Reply, StandIn
from rig.wire import exchange

from gatekeeper import price_watch
from gatekeeper.keys.audit import AuditFilter
from gatekeeper.price_watch import PriceWatch

LINE = "POST /gemini/v1beta/models/gemini-2.5-flash:generateContent?key=k"
USAGE = {"promptTokenCount": 10, "candidatesTokenCount": 1, "totalTokenCount": 11}
LISTED, OWN, OTHER = "0.000005500000", "0.000022500000", "0.000032500000"


def own(usd: str = "2", row: str = "{ tier = 'standard', input = '%s' }") -> str:
    return f"[[models]]\nids = ['gemini-2.5-flash']\nprices = [\n  {row % usd},\n]\n"


async def reply(to: Reply) -> None:
    await to.json(json.dumps({"modelVersion": "gemini-2.5-flash", "usageMetadata": USAGE}).encode())


@pytest.fixture
def file(gateway: Running) -> Path:
    return gateway.gateway.settings.data / "prices.toml"


@asynccontextmanager
async def watching(
    gateway: Running, monkeypatch: pytest.MonkeyPatch, look: float = 0.01
) -> AsyncIterator[PriceWatch]:
    monkeypatch.setattr(price_watch, "CHECK_SECONDS", look)
    watch = PriceWatch(
        gateway.gateway.settings.own_prices, gateway.gateway.proxy.context, gateway.gateway.audit
    )
    async with trio.open_nursery() as nursery:
        nursery.start_soon(watch.watch)
        yield watch
        nursery.cancel_scope.cancel()


async def until(reached: Callable[[], object]) -> None:
    with trio.fail_after(5):
        while not reached():
            await trio.sleep(0.005)


async def costs(gateway: Running, google: StandIn, count: int) -> tuple[str, str]:
    """The cost and the price version of the next call's row."""
    google.script = reply
    assert (await exchange(gateway.url, LINE, body=b"{}")).status == 200
    row = await gateway.row(count)
    return row["cost_usd"], row["price_version"]


async def test_the_next_call_costs_what_the_file_says_and_names_its_version(
    gateway: Running, google: StandIn, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    context: Any = gateway.gateway.proxy.context
    built_in = context.catalogue
    seen = [await costs(gateway, google, 1)]
    async with watching(gateway, monkeypatch):
        for count, change in (
            (2, lambda: file.write_text(own("2"))),
            (3, lambda: file.write_text(own("3"))),
            (4, lambda: file.write_text("# None.\n")),
            (5, lambda: file.write_text(own("2"))),
            (6, file.unlink),
        ):
            version = context.catalogue.version
            change()
            await until(lambda version=version: context.catalogue.version != version)
            seen.append(await costs(gateway, google, count))
    assert [cost for cost, _ in seen] == [LISTED, OWN, OTHER, LISTED, OWN, LISTED]
    versions = [version for _, version in seen]
    assert versions[0] == versions[3] == versions[5] == built_in.version
    assert versions[1] == versions[4]
    assert len(set(versions)) == 3


async def test_a_faulty_file_leaves_the_last_good_one_in_force_and_is_told(
    gateway: Running, google: StandIn, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    context: Any = gateway.gateway.proxy.context
    with capture_logs() as logged:
        async with watching(gateway, monkeypatch) as watch:
            file.write_text(own("2"))
            good = await changed(context)
            assert (await gateway.client.get("/prices")).json()["faults"] == []
            file.write_text(own("2", "{ tier = 'standart', imput = '%s' }"))
            await until(lambda: context.price_faults)
            assert context.catalogue is good
            assert (await costs(gateway, google, 1)) == (OWN, good.version)
            document = (await gateway.client.get("/prices")).json()
            assert document["version"] == good.version
            assert [fault.partition(":")[0] for fault in document["faults"]] == [f"{file}, line 4"] * 2
            # Read again, and as faulty as before
            watch.reload()
            await until(lambda: len(events(logged)) == 3)
            file.write_bytes(b"\n\xff")
            await until(lambda: "UTF-8" in context.price_faults[0])
            file.write_text(own("3"))
            await until(lambda: not context.price_faults)
            assert (await costs(gateway, google, 2))[0] == OTHER
    assert events(logged) == [
        ("prices_reloaded", "info"),
        *[("prices_not_reloaded", "error")] * 3,
        ("prices_reloaded", "info"),
    ]
    first = next(line for line in logged if line["log_level"] == "error")
    assert first["detail"].startswith(f"{file}, line 4: ")
    assert (first["more_faults"], first["in_force"]) == (1, good.version)


def events(logged: list[Any]) -> list[tuple[str, str]]:
    return [(line["event"], line["log_level"]) for line in logged if line["event"].startswith("prices")]


async def test_a_link_whose_file_is_gone_leaves_the_last_good_prices_in_force(
    gateway: Running, file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    context: Any = gateway.gateway.proxy.context
    contract = tmp_path / "contract.toml"
    contract.write_text(own())
    async with watching(gateway, monkeypatch):
        file.symlink_to(contract)
        good = await changed(context)
        contract.unlink()
        await until(lambda: context.price_faults)
        assert context.price_faults == (f"{file}, line 1: it leads to {contract}, which is missing",)
        assert context.catalogue is good
        contract.write_text(own())
        await until(lambda: not context.price_faults)


async def changed(context: Any) -> Any:
    before = context.catalogue
    await until(lambda: context.catalogue is not before)
    return context.catalogue


async def test_a_reload_does_not_wait_for_the_next_look(
    gateway: Running, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    context: Any = gateway.gateway.proxy.context
    async with watching(gateway, monkeypatch, look=1000) as watch:
        file.write_text(own())
        watch.reload()
        await changed(context)


async def test_a_file_that_is_there_at_the_start_counts_without_a_change(
    gateway: Running, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file.write_text(own())
    async with watching(gateway, monkeypatch):
        await changed(gateway.gateway.proxy.context)


async def test_new_prices_are_in_the_audit_log(
    gateway: Running, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    context: Any = gateway.gateway.proxy.context
    before = context.catalogue.version
    async with watching(gateway, monkeypatch):
        file.write_text(own("2"))
        await until(lambda: context.catalogue.version != before)
        entries: list[Any] = []
        with trio.fail_after(5):
            while not (entries := await gateway.gateway.audit.find(AuditFilter(), 10)):
                await trio.sleep(0.01)
    change = entries[0].change
    assert (change.action, change.by, change.target) == ("prices.reload", "gateway", "prices.toml")
    assert change.detail == {"price_version": {"from": before, "to": context.catalogue.version}}
