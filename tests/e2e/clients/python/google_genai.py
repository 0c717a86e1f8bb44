"""google-genai, Google's own SDK."""

import io
from pathlib import Path

from driver import BASE, KEY, SECURE_BASE, operation, run

# recipe
from google import genai

client = genai.Client(api_key=KEY, http_options={"base_url": BASE})
# end of recipe
from google.genai import types

FLASH = "gemini-2.5-flash"
LIVE = "gemini-live-2.5-flash-preview"


@operation
def generate():
    return client.models.generate_content(model=FLASH, contents="Tell me of bees")


@operation
def stream():
    return client.models.generate_content_stream(model=FLASH, contents="Tell me of bees")


@operation
def structured_output():
    schema = {"type": "OBJECT", "properties": {"name": {"type": "STRING"}, "age": {"type": "INTEGER"}}}
    config = {"response_mime_type": "application/json", "response_schema": schema}
    return client.models.generate_content(model=FLASH, contents="Invent one", config=config)


@operation
def function_call():
    def get_weather(city: str) -> str:
        """The weather in a city."""
        return f"sunny in {city}"

    config = types.GenerateContentConfig(tools=[get_weather])
    return client.models.generate_content(model=FLASH, contents="Weather in Oslo?", config=config)


@operation
def chat():
    chat = client.chats.create(model=FLASH)
    chat.send_message("My name is Zoë")
    for _ in chat.send_message_stream("Who am I?"):
        pass
    return chat.get_history()


@operation
def long_session():
    """Of a coding agent: 1.6 MB, in parts that speak of files."""
    said = "The agent reads src/files/env.py. " + "x" * 3000
    asked = [types.Part.from_text(text=f"{number}: {said}") for number in range(500)]
    return client.models.generate_content(model=FLASH, contents=asked)


@operation
async def generate_async():
    return await client.aio.models.generate_content(model=FLASH, contents="Tell me of bees")


@operation
async def stream_async():
    return await client.aio.models.generate_content_stream(model=FLASH, contents="Tell me of bees")


@operation
def count_tokens():
    return client.models.count_tokens(model=FLASH, contents="Say hello")


@operation
def embed():
    return client.models.embed_content(model="gemini-embedding-001", contents=["three words here", "again"])


@operation
def embed_2():
    return client.models.embed_content(model="gemini-embedding-2", contents=["three words here", "again"])


@operation
def list_models():
    return iter(client.models.list(config={"page_size": 9}))


@operation
def get_model():
    return client.models.get(model=FLASH)


@operation
def create_cache():
    long = "All about bees. " * 500
    made = client.caches.create(model=FLASH, config={"contents": long, "ttl": "600s", "display_name": "bees"})
    kept["cache"] = made.name
    return made


@operation
def get_cache():
    return client.caches.get(name=kept["cache"])


@operation
def generate_from_cache():
    config = {"cached_content": kept["cache"]}
    return client.models.generate_content(model=FLASH, contents="Tell me of bees", config=config)


@operation
def update_cache():
    return client.caches.update(name=kept["cache"], config={"ttl": "900s"})


@operation
def list_caches():
    return iter(client.caches.list())


@operation
def delete_cache():
    return client.caches.delete(name=kept["cache"])


@operation
def upload_file():
    text = io.BytesIO("Zoë keeps bees.\n".encode() * 100)
    made = client.files.upload(file=text, config={"mime_type": "text/plain", "display_name": "bees"})
    kept["file"] = made
    return made


@operation
def upload_in_chunks():
    """Nine megabytes: more than one chunk of 8 MiB."""
    media = Path("media.bin")
    media.write_bytes(bytes(range(256)) * 36_000)
    return client.files.upload(file=media, config={"mime_type": "application/octet-stream"})


@operation
async def upload_async():
    return await client.aio.files.upload(file=io.BytesIO(b"bees"), config={"mime_type": "text/plain"})


@operation
def get_file():
    return client.files.get(name=kept["file"].name)


@operation
def list_files():
    return iter(client.files.list(config={"page_size": 9}))


@operation
def generate_with_file():
    return client.models.generate_content(model=FLASH, contents=["Tell me of it", kept["file"]])


@operation
def download_file():
    return client.files.download(file=kept["file"].name)


@operation
def delete_file():
    return client.files.delete(name=kept["file"].name)


@operation
def interaction():
    made = client.interactions.create(model=FLASH, input="Tell me of bees")
    kept["interaction"] = made.id
    return made


@operation
def interaction_that_goes_on():
    return client.interactions.create(model=FLASH, input="And?", previous_interaction_id=kept["interaction"])


@operation
def interaction_as_stream():
    return iter(client.interactions.create(model=FLASH, input="Tell me of bees", stream=True))


@operation
def get_interaction():
    return client.interactions.get(kept["interaction"])


@operation
def delete_interaction():
    return client.interactions.delete(kept["interaction"])


@operation
def interaction_in_the_background():
    made = client.interactions.create(model=FLASH, input="Tell me of bees", background=True)
    return client.interactions.cancel(made.id)


@operation
def error_of_an_interaction():
    return client.interactions.create(model=FLASH, input="!400")


@operation
def create_ephemeral_token():
    alpha = genai.Client(api_key=KEY, http_options={"base_url": BASE, "api_version": "v1alpha"})
    made = alpha.auth_tokens.create(config={"uses": 2})
    kept["token"] = made.name
    return "made" if made.name else made


async def conversation(live):
    """Two turns, told message by message."""
    told = []
    async with live.aio.live.connect(model=LIVE, config={"response_modalities": ["TEXT"]}) as session:
        for text in ("Say hello", "Tell me of bees"):
            await session.send_client_content(turns={"parts": [{"text": text}]})
            told += [message async for message in session.receive()]
    return told


@operation
async def live():
    return await conversation(genai.Client(api_key=KEY, http_options={"base_url": SECURE_BASE}))


@operation
async def live_with_ephemeral_token():
    options = {"base_url": SECURE_BASE, "api_version": "v1alpha"}
    return await conversation(genai.Client(api_key=kept["token"], http_options=options))


@operation
async def error_in_live():
    live = genai.Client(api_key=KEY, http_options={"base_url": SECURE_BASE})
    async with live.aio.live.connect(model="bard-1", config={"response_modalities": ["TEXT"]}) as session:
        return [message async for message in session.receive()]


@operation
def error_400():
    return client.models.generate_content(model=FLASH, contents="!400")


@operation
def error_404():
    return client.models.generate_content(model="bard-1", contents="Say hello")


@operation
def error_429():
    return client.models.generate_content(model=FLASH, contents="!429")


@operation
def error_503():
    return client.models.generate_content(model=FLASH, contents="!503")


@operation
def error_in_stream():
    return client.models.generate_content_stream(model=FLASH, contents="!error tell me of bees")


@operation
def safety():
    return client.models.generate_content(model=FLASH, contents="!safety")


@operation
def blocked_prompt():
    return client.models.generate_content(model=FLASH, contents="!blocked")


@operation
def broken_stream():
    return client.models.generate_content_stream(model=FLASH, contents="!cut tell me of bees")


kept = {}
import google_genai_resources  # noqa: F401 - its operations come after these

run()
