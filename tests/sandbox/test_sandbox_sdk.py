"""Google's own SDK talks to the sandbox as it talks to Google."""

from __future__ import annotations

import base64
import hashlib
import io
from collections.abc import Callable

import pytest
import trio
from google import genai
from google.genai import errors, types

FLASH = "gemini-2.5-flash"


@pytest.fixture
async def sdk(sandbox_url: str) -> Callable:
    """Runs a function with a client in a thread of its own: the SDK knows no trio."""

    async def run(work: Callable):
        def with_client():
            options = {"base_url": sandbox_url, "client_args": {"verify": False}}
            client = genai.Client(api_key="any", http_options=options)
            try:
                return work(client)
            finally:
                client.close()

        return await trio.to_thread.run_sync(with_client)

    return run


async def test_generate_and_count(sdk):
    def work(client):
        answer = client.models.generate_content(model=FLASH, contents="Say hello")
        counted = client.models.count_tokens(model=FLASH, contents="Say hello")
        return answer, counted

    answer, counted = await sdk(work)
    assert answer.text == "hello"
    assert answer.candidates[0].finish_reason is types.FinishReason.STOP
    assert answer.usage_metadata.prompt_token_count == counted.total_tokens == 3
    assert answer.model_version == FLASH
    assert answer.response_id


async def test_stream(sdk):
    asked = "Write a story about bees"

    def work(client):
        return list(client.models.generate_content_stream(model=FLASH, contents=asked)), (
            client.models.generate_content(model=FLASH, contents=asked)
        )

    chunks, whole = await sdk(work)
    assert len(chunks) > 5
    assert "".join(chunk.text for chunk in chunks) == whole.text
    assert chunks[-1].usage_metadata == whole.usage_metadata
    assert len({chunk.response_id for chunk in chunks}) == 1


async def test_structured_output_is_parsed(sdk):
    schema = types.Schema(type="OBJECT", properties={"name": {"type": "STRING"}, "age": {"type": "INTEGER"}})
    config = types.GenerateContentConfig(response_mime_type="application/json", response_schema=schema)
    answer = await sdk(
        lambda client: client.models.generate_content(model=FLASH, contents="x", config=config)
    )
    assert isinstance(answer.parsed["age"], int)


async def test_functions_are_called_until_there_is_an_answer(sdk):
    cities: list[str] = []

    def get_weather(city: str) -> str:
        """The weather in a city."""
        cities.append(city)
        return "sunny"

    config = types.GenerateContentConfig(tools=[get_weather])
    answer = await sdk(
        lambda client: client.models.generate_content(model=FLASH, contents="Weather in Oslo?", config=config)
    )
    assert cities == ["Oslo"]
    assert answer.text


async def test_embed(sdk):
    answer = await sdk(
        lambda client: client.models.embed_content(model="gemini-embedding-001", contents=["a", "b"])
    )
    assert [len(item.values) for item in answer.embeddings] == [3072, 3072]


async def test_models(sdk):
    names = await sdk(lambda client: [model.name for model in client.models.list(config={"page_size": 9})])
    assert f"models/{FLASH}" in names


async def test_a_file_s_life(sdk):
    def work(client):
        config = types.UploadFileConfig(mime_type="text/plain", display_name="notes")
        file = client.files.upload(file=io.BytesIO(b"x" * 4000), config=config)
        answer = client.models.generate_content(model=FLASH, contents=["What is in it?", file])
        seen = client.files.get(name=file.name)
        listed = [item.name for item in client.files.list()]
        client.files.delete(name=file.name)
        return file, seen, listed, answer, [item.name for item in client.files.list()]

    file, seen, listed, answer, left = await sdk(work)
    assert file == seen
    assert (file.display_name, file.size_bytes, file.state) == ("notes", 4000, types.FileState.ACTIVE)
    assert answer.usage_metadata.prompt_token_count > 1000
    assert (listed, left) == ([file.name], [])


async def test_a_video_s_way_through_the_api(sdk):
    """In chunks of 8 MiB, polled until it is there, and generated content downloaded by its redirect."""
    data = bytes(9 * 2**20)

    def work(client):
        file = client.files.upload(file=io.BytesIO(data), config={"mime_type": "video/mp4"})
        states = [file.state]
        while states[-1] is types.FileState.PROCESSING:
            states.append(client.files.get(name=file.name).state)
        return file, states, client.files.download(file="files/bytes-100000")

    file, states, content = await sdk(work)
    assert base64.b64decode(file.sha256_hash).decode() == hashlib.sha256(data).hexdigest()
    assert len(states) == 3
    assert len(content) == 100_000


async def test_interactions(sdk):
    def work(client):
        made = client.interactions.create(model=FLASH, input="Say hello")
        read = client.interactions.get(made.id)
        ask = {"model": FLASH, "input": "Write a haiku", "previous_interaction_id": made.id}
        events = list(client.interactions.create(**ask, stream=True))
        client.interactions.delete(made.id)
        return made, read, events

    made, read, events = await sdk(work)
    assert (made.output_text, made.status, read.id) == ("hello", "completed", made.id)
    assert made.usage.total_tokens > 3
    assert [events[0].event_type, events[-1].event_type] == ["interaction.created", "interaction.completed"]
    assert events[-1].interaction.usage.total_tokens > 0
    assert not any(getattr(event, "is_unknown", False) for event in events)


async def test_a_batch(sdk):
    def work(client):
        requests = [{"contents": [{"parts": [{"text": "Say hello"}], "role": "user"}]}]
        job = client.batches.create(model=FLASH, src=requests)
        states = [job.state.name]
        while states[-1] in ("JOB_STATE_PENDING", "JOB_STATE_RUNNING"):
            job = client.batches.get(name=job.name)
            states.append(job.state.name)
        return job, states

    job, states = await sdk(work)
    assert states == ["JOB_STATE_PENDING", "JOB_STATE_RUNNING", "JOB_STATE_SUCCEEDED"]
    assert job.dest.inlined_responses[0].response.text == "hello"


@pytest.mark.filterwarnings("ignore:.* usage is experimental")
async def test_stores_webhooks_triggers_and_agents(sdk):
    def work(client):
        store = client.file_search_stores.create(config={"display_name": "Mine"})
        add = client.file_search_stores.upload_to_file_search_store
        config = {"mime_type": "text/plain"}
        operation = add(file_search_store_name=store.name, file=io.BytesIO(b"abc"), config=config)
        while not operation.done:
            operation = client.operations.get(operation)
        documents = [item.name for item in client.file_search_stores.documents.list(parent=store.name)]
        client.file_search_stores.delete(name=store.name, config={"force": True})
        hook = client.webhooks.create(uri="https://example.com", subscribed_events=["batch.succeeded"])
        client.webhooks.ping(hook.id)
        asked = {"agent": "deep-research-pro-preview-12-2025", "input": "bees"}
        trigger = client.triggers.create(schedule="0 * * * *", time_zone="UTC", interaction=asked)
        run = client.triggers.run(trigger.id)
        client.agents.create(id="mine", base_agent="x")
        return operation, documents, hook, trigger, run, client.agents.list().agents

    operation, documents, hook, trigger, run, agents = await sdk(work)
    assert documents == [operation.response.document_name]
    assert hook.new_signing_secret.startswith("whsec_")
    assert (run.trigger_id, run.status) == (trigger.id, "completed")
    assert [agent.id for agent in agents] == ["mine"]


async def test_a_cache_in_use(sdk):
    def work(client):
        cache = client.caches.create(
            model=FLASH, config=types.CreateCachedContentConfig(contents="bees " * 2000, ttl="300s")
        )
        config = types.GenerateContentConfig(cached_content=cache.name)
        return cache, client.models.generate_content(model=FLASH, contents="Summarise", config=config)

    cache, answer = await sdk(work)
    assert cache.usage_metadata.total_token_count == 2500
    assert answer.usage_metadata.cached_content_token_count == 2500


@pytest.mark.parametrize(("command", "kind"), [("!429", errors.ClientError), ("!503", errors.ServerError)])
async def test_errors_are_raised_as_google_s(sdk, command, kind):
    options = types.HttpOptions(retry_options=types.HttpRetryOptions(attempts=1))
    config = types.GenerateContentConfig(http_options=options)
    with pytest.raises(kind) as caught:
        await sdk(lambda client: client.models.generate_content(model=FLASH, contents=command, config=config))
    assert caught.value.code == int(command[1:])
