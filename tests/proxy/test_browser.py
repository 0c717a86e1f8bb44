"""In open mode no page of the web reaches Google through the gateway; programs and pages from here do."""

from __future__ import annotations

import json

import trio
from rig.cases import cases
from rig.gateway import Running
from rig.standin import StandIn
from rig.wire import connect, exchange, read

LINE = "POST /gemini/v1beta/models/gemini-2.5-flash:generateContent"


@cases(
    ("headers", "named"),
    [
        (["Origin: https://evil.example"], "The Origin 'https://evil.example'"),
        (["Origin: null", "Content-Type: text/plain"], "The Origin 'null'"),
        (["Origin: http://127.0.0.1.evil.example"], "The Origin"),
        (["Origin: http://localhost:3000", "Host: evil.example:4000"], "The Host 'evil.example:4000'"),
        (["Host: localhost.evil.example"], "The Host"),
        (["Sec-Fetch-Site: cross-site", "Content-Type: text/plain"], "Sec-Fetch-Site"),
    ],
)
async def test_a_page_of_another_site_is_refused_and_recorded(
    gateway: Running, google: StandIn, headers: list[str], named: str
) -> None:
    answer = await said(gateway, headers)
    assert (answer.status, answer.reason) == (403, "GATEKEEPER_POLICY")
    error = json.loads(answer.body)["error"]
    assert error["status"] == "PERMISSION_DENIED"
    assert named in error["message"]
    assert "GATEKEEPER_MASTER_KEY" in error["message"]
    row = await gateway.row()
    assert (row["outcome"], row["reason"], row["status"]) == ("refused", "GATEKEEPER_POLICY", 403)
    assert google.asked == []


@cases(
    "headers",
    [
        [],
        ["Host: 127.0.0.1:4000"],
        ["Host: [::1]:4000"],
        ["Host: 192.168.1.5"],
        ["Origin: http://localhost:3000", "Sec-Fetch-Site: cross-site"],
        ["Origin: http://127.0.0.1:8080", "Sec-Fetch-Site: same-site"],
        ["Sec-Fetch-Site: same-origin"],
        ["Sec-Fetch-Site: none"],
    ],
)
async def test_programs_and_pages_of_this_machine_pass(gateway: Running, headers: list[str]) -> None:
    assert (await said(gateway, headers)).status == 200


async def test_with_a_master_key_it_is_the_key_that_counts(guarded: Running) -> None:
    headers = ["Host: evil.example", "Origin: https://evil.example"]
    assert (await said(guarded, headers)).status == 401
    assert (await said(guarded, [*headers, f"x-goog-api-key: {await guarded.key()}"])).status == 200


async def said(gateway: Running, headers: list[str]):
    """The answer to a call with these headers; a `Host` takes the place of the usual one."""
    if not any(header.startswith("Host: ") for header in headers):
        return await exchange(gateway.url, LINE, body=b"{}", headers=headers)
    async with await connect(gateway.url) as stream:
        lines = [f"{LINE} HTTP/1.1", *headers, "Content-Length: 2", "", "{}"]
        await stream.send_all("\r\n".join(lines).encode())
        with trio.fail_after(5):
            return await read(stream)
