"""A transport that only this file defines: the lifecycle of a call is the same for any transport."""

from __future__ import annotations

import json

import pytest
from rig.gateway import Running
from rig.wire import exchange

from gatekeeper.gemini.errors import error_body, error_headers
from gatekeeper.gemini.meter import meter_for
from gatekeeper.proxy.call import ProxyCall
from gatekeeper.refusals import Refusal
from gatekeeper.server.asgi_types import Receive, Scope, Send
from gatekeeper.server.client_stream import ClientStream

LINE = "POST /gemini/v1beta/models/gemini-2.5-flash:generateContent"
SAID = json.dumps(
    {"usageMetadata": {"promptTokenCount": 1000, "candidatesTokenCount": 100, "totalTokenCount": 1100}}
).encode()


class Echo:
    """Has no upstream: the response is the request's body."""

    is_stream = model_pending = False
    client_socket = None

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.client = ClientStream(scope, receive, send)

    @property
    def received_bytes(self) -> int:
        return self.client.received_bytes

    @property
    def sent_bytes(self) -> int:
        return self.client.sent_bytes

    @property
    def write_blocked(self) -> bool:
        return self.client.write_blocked

    @property
    def response_started(self) -> bool:
        return self.client.response_started

    def unsupported_refusal(self, call: ProxyCall) -> Refusal | None:
        return None

    def request_length(self) -> int | None:
        return None

    async def relay(self, call: ProxyCall) -> None:
        body = await self.client.receive_body()
        call.meter = meter_for(b"application/json", None)
        call.row.status = 200
        call.mark_first_byte()
        length = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
        await self.client.start(200, length, coalesce_with_body=True)
        await self.client.write(body)
        call.meter.feed(body)
        await self.client.finish()
        call.relay_complete = True

    def refusal_status(self, refusal: Refusal) -> int:
        return refusal.status

    async def refuse(self, refusal: Refusal, call_id: str) -> None:
        body = error_body(refusal)
        await self.client.start(refusal.status, error_headers(refusal, body), coalesce_with_body=True)
        await self.client.write(body)
        await self.client.finish()

    async def final_error(self, refusal: Refusal, call: ProxyCall) -> None: ...

    def abort(self) -> None:
        self.client.abort()

    def release(self) -> None:
        self.client.discard_queued_messages()

    def revocation(self, call: ProxyCall) -> Refusal | None:
        return None

    def is_disconnected(self) -> bool:
        return self.client.is_disconnected()


@pytest.fixture
async def echoing(guarded: Running) -> Running:
    guarded.gateway.proxy.transports["http"] = Echo
    return guarded


async def test_a_call_by_another_transport_comes_to_the_ledger(echoing: Running) -> None:
    secret = await echoing.key(key_alias="echo", max_budget=1)
    answer = await exchange(echoing.url, LINE, body=SAID, headers=[f"x-goog-api-key: {secret}", "tags: a"])
    assert (answer.status, answer.body, answer.whole) == (200, SAID, True)
    row = await echoing.row()
    assert (row["outcome"], row["key_alias"], row["tags"]) == ("ok", "echo", ["a"])
    assert (row["prompt_tokens"], row["output_tokens"], row["cost_usd"]) == (1000, 100, "0.000550000000")
    assert (row["request_bytes"], row["response_bytes"]) == (len(SAID), len(SAID))
    assert not echoing.gateway.proxy.open_calls


async def test_a_refusal_by_another_transport_comes_to_the_ledger(echoing: Running) -> None:
    answer = await exchange(echoing.url, LINE, body=SAID)
    assert (answer.status, answer.reason) == (401, "GATEKEEPER_KEY_MISSING")
    row = await echoing.row()
    assert (row["status"], row["outcome"], row["cost_usd"]) == (401, "refused", "0.000000000000")
