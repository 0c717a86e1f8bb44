"""Google's own SDK at a gateway: only `base_url` and `api_key` are other than with Google."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import pytest
import trio
from google import genai
from google.genai import errors, types
from rig.gateway import Running, running

from gatekeeper.sandbox.server import serve_sandbox

T = TypeVar("T")
FLASH = "gemini-2.5-flash"
ONE_TRY = types.HttpOptions(retry_options=types.HttpRetryOptions(attempts=1))
MASTER = "master-of-the-tests"


class Sdk:
    """The SDK with a virtual key. It knows no trio, so it works in a thread of its own."""

    def __init__(self, gateway: Running, api_key: str) -> None:
        self.gateway = gateway
        self.api_key = api_key

    def client(self) -> genai.Client:
        return genai.Client(
            api_key=self.api_key,
            http_options={
                "base_url": f"{self.gateway.url}/gemini",
                "client_args": {"verify": False},  # or it reads certificates for half of a test's time
                "async_client_args": {"verify": False},
            },
        )

    async def do(self, work: Callable[[genai.Client], T]) -> T:
        def with_client() -> T:
            client = self.client()
            try:
                return work(client)
            finally:
                client.close()

        return await trio.to_thread.run_sync(with_client)

    async def row(self) -> dict[str, Any]:
        """The one row, which is of this key."""
        row = await self.gateway.row()
        assert row["key_alias"] == "app"
        return row


@pytest.fixture
async def guarded(tmp_path: Path, nursery: trio.Nursery) -> AsyncIterator[Running]:
    """A gateway with a master key in front of the simulated API."""
    port = await nursery.start(partial(serve_sandbox, "127.0.0.1", 0, time_scale=0))
    async with running(tmp_path / "data", f"http://127.0.0.1:{port}", master_key=MASTER) as gateway:
        yield gateway


@pytest.fixture
async def sdk(guarded: Running) -> Sdk:
    return Sdk(guarded, await guarded.key(key_alias="app"))


def tokens(usage: types.GenerateContentResponseUsageMetadata) -> dict[str, int]:
    """The counts that the SDK was told, as the row's columns name them."""
    told = {
        "prompt_tokens": usage.prompt_token_count,
        "cached_tokens": usage.cached_content_token_count,
        "output_tokens": usage.candidates_token_count,
        "thoughts_tokens": usage.thoughts_token_count,
        "total_tokens": usage.total_token_count,
    }
    return {name: count for name, count in told.items() if count is not None}


def cost(counted: dict[str, int]) -> Decimal:
    """Dollars of a text call on gemini-2.5-flash: 0.30 and 2.50 for a million."""
    output = counted["output_tokens"] + counted.get("thoughts_tokens", 0)
    return counted["prompt_tokens"] * Decimal("0.3e-6") + output * Decimal("2.5e-6")


def assert_charged(row: dict[str, Any], usage: types.GenerateContentResponseUsageMetadata) -> None:
    counted = tokens(usage)
    assert {name: row[name] for name in counted} == counted
    assert Decimal(row["cost_usd"]) == cost(counted)


async def test_generate(sdk: Sdk) -> None:
    answer = await sdk.do(
        lambda client: client.models.generate_content(model=FLASH, contents="Tell me of bees")
    )
    row = await sdk.row()
    assert answer.text
    assert_charged(row, answer.usage_metadata)
    assert (row["action"], row["model"], row["stream"]) == ("generateContent", FLASH, False)
    assert row["user_agent"].startswith("google-genai-sdk/")


async def test_stream(sdk: Sdk) -> None:
    chunks = await sdk.do(
        lambda client: list(client.models.generate_content_stream(model=FLASH, contents="Tell me of bees"))
    )
    row = await sdk.row()
    assert len(chunks) > 2
    assert_charged(row, chunks[-1].usage_metadata)
    assert (row["action"], row["stream"], row["finish_reason"]) == ("streamGenerateContent", True, "STOP")


async def test_chat(sdk: Sdk) -> None:
    def work(client: genai.Client) -> list[types.Content]:
        chat = client.chats.create(model=FLASH)
        chat.send_message("My name is Ada")
        for _ in chat.send_message_stream("Who am I?"):
            pass
        return chat.get_history()

    history = await sdk.do(work)
    assert [content.role for content in history[:3]] == ["user", "model", "user"]
    first, second = await sdk.gateway.rows()
    assert [first["stream"], second["stream"]] == [False, True]
    assert second["prompt_tokens"] > first["prompt_tokens"] > 0


@pytest.mark.parametrize(
    ("model", "tokens", "cost"),
    [("gemini-embedding-2", 7, "0.000001400000"), ("gemini-embedding-001", None, None)],
)
async def test_embed(sdk: Sdk, model: str, tokens: int | None, cost: str | None) -> None:
    """The older model reports no usage, and what is not known is not 0."""
    answer = await sdk.do(
        lambda client: client.models.embed_content(model=model, contents=["three words here", "three again"])
    )
    assert {len(item.values) for item in answer.embeddings} == {3072}
    row = await sdk.row()
    assert (row["model"], row["outcome"]) == (model, "ok")
    assert (row["prompt_tokens"], row["cost_usd"]) == (tokens, cost)


async def test_count_tokens(sdk: Sdk) -> None:
    answer = await sdk.do(lambda client: client.models.count_tokens(model=FLASH, contents="Say hello"))
    assert answer.total_tokens == 3
    row = await sdk.row()
    assert (row["action"], row["cost_usd"]) == ("countTokens", "0.000000000000")


async def test_structured_output(sdk: Sdk) -> None:
    schema = types.Schema(type="OBJECT", properties={"name": {"type": "STRING"}, "age": {"type": "INTEGER"}})
    config = types.GenerateContentConfig(response_mime_type="application/json", response_schema=schema)
    answer = await sdk.do(
        lambda client: client.models.generate_content(model=FLASH, contents="Invent one", config=config)
    )
    assert isinstance(answer.parsed["age"], int)
    assert_charged(await sdk.row(), answer.usage_metadata)


async def test_function_calling(sdk: Sdk) -> None:
    cities: list[str] = []

    def get_weather(city: str) -> str:
        """The weather in a city."""
        cities.append(city)
        return "sunny"

    config = types.GenerateContentConfig(tools=[get_weather])
    answer = await sdk.do(
        lambda client: client.models.generate_content(model=FLASH, contents="Weather in Oslo?", config=config)
    )
    assert cities == ["Oslo"]
    assert answer.text
    rows = await sdk.gateway.rows()
    assert [row["action"] for row in rows] == ["generateContent"] * 2
    assert all(Decimal(row["cost_usd"]) > 0 for row in rows)


async def test_models(sdk: Sdk) -> None:
    names = await sdk.do(lambda client: [model.name for model in client.models.list(config={"page_size": 9})])
    assert f"models/{FLASH}" in names
    rows = await sdk.gateway.rows()
    assert {row["action"] for row in rows} == {"models.list"}
    assert len(rows) > 1, "page after page"


async def test_the_async_client(sdk: Sdk) -> None:
    async def work() -> tuple[str, str]:
        async with sdk.client().aio as client:
            whole = await client.models.generate_content(model=FLASH, contents="Tell me of bees")
            stream = await client.models.generate_content_stream(model=FLASH, contents="Tell me of bees")
            return whole.text or "", "".join([chunk.text or "" async for chunk in stream])

    whole, streamed = await trio.to_thread.run_sync(lambda: asyncio.run(work()))
    assert whole == streamed != ""
    rows = await sdk.gateway.rows()
    assert [(row["outcome"], row["stream"]) for row in rows] == [("ok", False), ("ok", True)]
    assert rows[0]["cost_usd"] == rows[1]["cost_usd"] != "0.000000000000"


@pytest.mark.parametrize(
    ("command", "kind", "code", "status"),
    [
        ("!400", errors.ClientError, 400, "INVALID_ARGUMENT"),
        ("!401", errors.ServerError, 502, "UNAVAILABLE"),  # of the gateway's key, not the client's
        ("!403", errors.ClientError, 403, "PERMISSION_DENIED"),
        ("!429", errors.ClientError, 429, "RESOURCE_EXHAUSTED"),
        ("!503", errors.ServerError, 503, "UNAVAILABLE"),
    ],
)
async def test_errors_of_google_are_raised_as_such(
    sdk: Sdk, command: str, kind: type[errors.APIError], code: int, status: str
) -> None:
    config = types.GenerateContentConfig(http_options=ONE_TRY)
    with pytest.raises(kind) as caught:
        await sdk.do(
            lambda client: client.models.generate_content(model=FLASH, contents=command, config=config)
        )
    assert (caught.value.code, caught.value.status) == (code, status)
    row = await sdk.row()
    assert (row["status"], row["outcome"], row["cost_usd"]) == (
        code,
        "upstream_error",
        "0.000000000000",
    )


@pytest.mark.parametrize("secret", ["not-a-key-of-ours", "AIzaSyGoogleKeyOfSomebody"])
async def test_a_wrong_key(guarded: Running, secret: str) -> None:
    with pytest.raises(errors.ClientError) as caught:
        await Sdk(guarded, secret).do(
            lambda client: client.models.generate_content(model=FLASH, contents="Say hello")
        )
    assert (caught.value.code, caught.value.status) == (401, "UNAUTHENTICATED")
    assert "gatekeeper keys create" in caught.value.message
    assert secret not in str(caught.value)
    row = await guarded.row()
    assert (row["outcome"], row["reason"]) == ("refused", "GATEKEEPER_KEY_UNKNOWN")


async def test_a_budget_that_is_used_up(guarded: Running) -> None:
    sdk = Sdk(guarded, await guarded.key(max_budget=0))
    config = types.GenerateContentConfig(http_options=ONE_TRY)
    with pytest.raises(errors.ClientError) as caught:
        await sdk.do(
            lambda client: client.models.generate_content(model=FLASH, contents="Say hello", config=config)
        )
    assert (caught.value.code, caught.value.status) == (429, "RESOURCE_EXHAUSTED")
