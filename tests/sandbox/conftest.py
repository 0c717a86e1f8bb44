"""The sandbox twice: served on a loopback port, as users have it, without waiting; and as a function."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from functools import partial

import httpx2
import pytest
import trio

from gatekeeper.sandbox.api import Api
from gatekeeper.sandbox.http import HttpResponse, Request
from gatekeeper.sandbox.server import serve_sandbox


@pytest.fixture
async def sandbox_url(nursery: trio.Nursery) -> str:
    port = await nursery.start(partial(serve_sandbox, "127.0.0.1", 0, time_scale=0))
    return f"http://127.0.0.1:{port}"


@pytest.fixture
async def google(sandbox_url: str) -> AsyncIterator[httpx2.AsyncClient]:
    """A client with a key, as good as any."""
    headers = {"x-goog-api-key": "any"}
    async with httpx2.AsyncClient(base_url=sandbox_url, headers=headers, verify=False) as client:
        yield client


class Offline:
    """The API as a function from request to answer; each call meets a new one."""

    def post(self, path: str, body: object, **query: str) -> HttpResponse:
        request = Request("POST", path, query=query, headers={"x-goog-api-key": "any"})
        request.content.feed(body if isinstance(body, bytes) else json.dumps(body).encode())
        return Api().respond(request)

    def said(self, answer: HttpResponse) -> bytes:
        return b"".join(data for _, data in answer.pieces)

    def document(self, answer: HttpResponse) -> dict:
        return json.loads(self.said(answer))

    def generate(self, body: object, model: str = "gemini-3.8-flash") -> dict:
        answer = self.post(f"/v1beta/models/{model}:generateContent", body)
        assert answer.status == 200, self.said(answer)
        return self.document(answer)

    def stream(self, body: object, model: str = "gemini-3.8-flash") -> list[dict]:
        answer = self.post(f"/v1beta/models/{model}:streamGenerateContent", body, alt="sse")
        assert answer.status == 200, self.said(answer)
        *events, rest = self.said(answer).split(b"\r\n\r\n")
        assert rest == b""
        assert all(event.startswith(b"data: ") for event in events)
        return [json.loads(event[6:]) for event in events]

    def text_of(self, response: dict, candidate: int = 0, *, thought: bool = False) -> str:
        parts = [item for item in response.get("candidates", []) if item["index"] == candidate]
        parts = [part for item in parts for part in item["content"].get("parts", [])]
        return "".join(part.get("text", "") for part in parts if part.get("thought", False) is thought)


@pytest.fixture(scope="session")
def offline() -> Offline:
    return Offline()
