"""Who may use the admin API, with a master key and in open mode."""

from __future__ import annotations

import httpx2
import pytest

from gatekeeper.keys.secrets import FREE_ATTEMPTS

MASTER = "master-of-the-tests"


def master_of(guarded):
    """The master key, which the client shows no longer."""
    return guarded.client.headers.pop("Authorization").removeprefix("Bearer ")


async def test_the_master_key_opens_everything_and_its_scheme_has_no_case(guarded):
    assert await guarded.get("/calls")
    guarded.client.headers["Authorization"] = f"bearer   {master_of(guarded)}"
    assert await guarded.get("/key/list")


async def test_without_the_master_key_as_a_bearer_token_nothing_opens(guarded):
    master = master_of(guarded)
    for headers in (
        {},
        {"Authorization": "Bearer"},
        {"Authorization": "Bearer not-the-master-key"},
        {"Authorization": f"Basic {master}"},
        {"Authorization": master},
        {"x-goog-api-key": master},
        {"x-api-key": master},
    ):
        for path in ("/calls", "/nowhere", f"/key/info?key={master}"):
            answer = await guarded.client.get(path, headers=headers)
            assert (answer.status_code, answer.json()["status"]) == (401, 401), headers
            assert answer.headers["www-authenticate"].startswith("Bearer")
            assert master not in answer.text
            assert "not-the-master-key" not in answer.text


async def test_a_virtual_key_is_known_and_not_allowed(guarded):
    made = await guarded.post("/key/generate")
    await guarded.post("/key/block", {"key": made["key"]})
    master_of(guarded)
    answer = await guarded.client.get("/calls", headers={"Authorization": f"Bearer {made['key']}"})
    assert answer.status_code == 403
    assert made["key"] not in answer.text


async def test_three_places_ask_for_no_key(guarded):
    master_of(guarded)
    for path in ("/", "/healthz", "/readyz"):
        assert await guarded.get(path)


async def test_in_open_mode_an_address_and_localhost_are_hosts(admin):
    for host in ("127.0.0.1:4000", "localhost", "LOCALHOST:80", "[::1]:4000", "192.168.1.5"):
        assert (await admin.client.get("/calls", headers={"Host": host})).status_code == 200, host


async def test_in_open_mode_a_name_that_was_made_to_point_here_is_refused(admin):
    for host in ("evil.example", "localhost.evil.example:4000", "127.0.0.1.evil.example"):
        answer = await admin.client.get("/key/list", headers={"Host": host})
        assert answer.status_code == 403, host
        assert host in answer.json()["detail"]
        assert "GATEKEEPER_MASTER_KEY" in answer.json()["detail"]


async def test_in_open_mode_a_page_of_this_machine_may_ask(admin):
    for origin in ("http://localhost:3000", "http://127.0.0.1", "http://[::1]:8080"):
        assert (await admin.client.get("/calls", headers={"Origin": origin})).status_code == 200, origin


async def test_in_open_mode_a_page_of_the_web_changes_nothing(admin):
    for origin in ("https://evil.example", "null", "http://127.0.0.1.evil.example", "http://[", ""):
        headers = {"Origin": origin, "Content-Type": "text/plain"}
        answer = await admin.client.post("/key/generate", content=b"{}", headers=headers)
        assert answer.status_code == 403, origin
        assert "Origin" in answer.json()["detail"]
    assert (await admin.get("/key/list"))["keys"] == []


async def test_with_a_master_key_host_and_origin_do_not_matter(guarded):
    headers = {"Host": "gateway.example", "Origin": "https://x.example"}
    assert (await guarded.client.get("/calls", headers=headers)).status_code == 200


async def test_wrong_keys_are_counted_by_the_clients_address_behind_trusted_proxies(serve):
    async with serve(GATEKEEPER_MASTER_KEY=MASTER, GATEKEEPER_TRUSTED_PROXIES="127.0.0.1") as gateway:
        for client in ("203.0.113.9", "2001:db8:1:2::1", "2001:db8:1:2:3::4", "203.0.113.9"):
            headers = {"Authorization": "Bearer wrong", "X-Forwarded-For": client}
            assert (await gateway.client.get("/calls", headers=headers)).status_code == 401
        counted = gateway.gateway.proxy.context.auth_failures._addresses
        assert {address: stats.count for address, stats in counted.items()} == {
            "203.0.113.9": 2,
            "2001:db8:1:2::/64": 2,
        }


async def test_an_address_that_guesses_waits_and_its_right_keys_do_not(guarded):
    failures = guarded.gateway.proxy.context.auth_failures
    failures.delay = 1e6  # longer than any test
    key = (await guarded.post("/key/generate", {"role": "viewer"}))["key"]
    for _ in range(FREE_ATTEMPTS):
        assert (await guarded.as_key("GET", "/calls", "wrong")).status_code == 401
    with pytest.raises(httpx2.ReadTimeout):
        await guarded.client.get("/calls", headers={"Authorization": "Bearer wrong"}, timeout=0.3)
    assert (await guarded.as_key("GET", "/calls", key)).status_code == 200
    assert await guarded.get("/calls")
    # A key without the role for it is no guess.
    assert (await guarded.as_key("POST", "/key/generate", key)).status_code == 403
