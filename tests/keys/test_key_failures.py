"""Wrong credentials: who waits, for how long, and what the log says. On a clock that only waiting moves."""

from __future__ import annotations

import trio
from rig.cases import cases
from rig.logs import capture_logs

from gatekeeper.keys.secrets import DELAY, FREE_ATTEMPTS, MAX_ADDRESSES, MAX_DELAYED, AuthFailures, network_of


async def waited(failures: AuthFailures, address: str) -> float:
    began = trio.current_time()
    await failures.throttle(address)
    return trio.current_time() - began


async def test_only_an_address_that_errs_often_waits_and_a_minute_later_no_more(autojump_clock):
    failures = AuthFailures()
    assert [await waited(failures, "10.0.0.1") for _ in range(FREE_ATTEMPTS + 2)] == [0] * FREE_ATTEMPTS + [
        DELAY,
        DELAY,
    ]
    assert await waited(failures, "10.0.0.2") == 0
    await trio.sleep(60)
    assert await waited(failures, "10.0.0.1") == 0


async def test_the_log_has_a_line_a_minute_and_address_with_their_number(autojump_clock):
    failures = AuthFailures()
    with capture_logs() as logged:
        for _ in range(20):
            await failures.throttle("10.0.0.1")
        await failures.throttle("10.0.0.2")
        await trio.sleep(60)
        await failures.throttle("10.0.0.1")
    assert [(line["event"], line["address"], line["count"]) for line in logged] == [
        ("authentication_failed", "10.0.0.1", 1),
        ("authentication_failed", "10.0.0.2", 1),
        ("authentication_failed", "10.0.0.1", 20),
    ]


async def test_no_more_than_a_bounded_number_waits(autojump_clock):
    failures = AuthFailures()
    for _ in range(FREE_ATTEMPTS):
        await failures.throttle("10.0.0.1")
    async with trio.open_nursery() as nursery:
        for _ in range(MAX_DELAYED):
            nursery.start_soon(failures.throttle, "10.0.0.1")
        await trio.testing.wait_all_tasks_blocked()
        assert await waited(failures, "10.0.0.1") == 0
    assert await waited(failures, "10.0.0.1") == DELAY


async def test_what_is_kept_of_addresses_is_bounded(autojump_clock):
    failures = AuthFailures()
    for _ in range(FREE_ATTEMPTS + 1):
        await failures.throttle("10.0.0.1")
    with capture_logs():
        for number in range(MAX_ADDRESSES):
            await failures.throttle(f"10.1.{number // 256}.{number % 256}")
    assert await waited(failures, "10.0.0.1") == 0  # forgotten
    assert len(failures._addresses) == MAX_ADDRESSES


@cases(
    ("client", "name"),
    [
        ("10.0.0.1", "10.0.0.1"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::", "2001:db8:1:2::/64"),
        ("::1", "::/64"),
        ("::ffff:10.0.0.1", "10.0.0.1"),
        ("", ""),
        ("unix", "unix"),
    ],
)
def test_one_party_is_one_address(client, name):
    assert network_of(client) == name
