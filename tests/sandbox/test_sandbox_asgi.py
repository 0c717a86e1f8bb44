"""The application between a server and its client: messages in, messages out, on a clock that only waiting
moves."""

from __future__ import annotations

import json

import pytest
import trio

from gatekeeper.sandbox.server import Sandbox

STREAM = "/v1beta/models/gemini-3.8-flash:streamGenerateContent"
GONE = {"type": "http.disconnect"}


class Client:
    """Says `text` to a stream; leaves after `patience` messages, if there is one."""

    def __init__(self, text: str, patience: int = 10_000) -> None:
        self._in, self.receive = trio.open_memory_channel(8)
        self._patience = patience
        self.sent: list[dict] = []
        body = json.dumps({"contents": [{"parts": [{"text": text}]}]}).encode()
        self.says({"type": "http.request", "body": body[:9], "more_body": True})
        self.says({"type": "http.request", "body": body[9:], "more_body": False})

    def says(self, message: dict) -> None:
        self._in.send_nowait(message)

    async def send(self, message: dict) -> None:
        self.sent.append(message)
        if len(self.sent) == self._patience:
            self.says(GONE)

    async def call(self, time_scale: float = 1.0) -> float:
        """Seconds that it took."""
        scope = {
            "type": "http",
            "method": "POST",
            "scheme": "http",
            "path": STREAM,
            "query_string": b"alt=sse",
            "headers": [(b"X-Goog-Api-Key", b"any")],
        }
        began = trio.current_time()
        await Sandbox(time_scale=time_scale)(scope, self.receive.receive, self.send)
        return trio.current_time() - began


async def test_it_waits_at_the_pace_it_is_given(autojump_clock):
    took = [await Client("Write a story").call(time_scale) for time_scale in (1.0, 2.0, 0.0)]
    assert took[0] > 0.2
    assert took[1:] == [pytest.approx(2 * took[0]), 0]


async def test_only_the_last_message_is_the_last(autojump_clock):
    client = Client("Write a story")
    await client.call()
    start, *body = client.sent
    assert start["status"] == 200
    assert [message["more_body"] for message in body] == [True] * (len(body) - 1) + [False]


async def test_an_answer_that_breaks_has_no_last_message():
    client = Client("!cut")
    await client.call(time_scale=0)
    assert all(message["more_body"] for message in client.sent[1:])


async def test_a_stream_ends_when_its_client_leaves(autojump_clock):
    """Sends are ignored once the client is gone, so that only `receive` can tell."""
    client = Client("!long", patience=5)
    assert await client.call() < 5
    assert len(client.sent) == 5


async def test_a_client_that_leaves_before_its_request_is_through_gets_no_answer():
    client = Client("hi")
    await client.receive.receive()
    await client.receive.receive()
    client.says(GONE)
    await client.call()
    assert client.sent == []


async def test_lifespan():
    client = Client("")
    for _ in range(2):
        await client.receive.receive()
    client.says({"type": "lifespan.startup"})
    client.says({"type": "lifespan.shutdown"})
    await Sandbox()({"type": "lifespan"}, client.receive.receive, client.send)
    kinds = [message["type"] for message in client.sent]
    assert kinds == ["lifespan.startup.complete", "lifespan.shutdown.complete"]
