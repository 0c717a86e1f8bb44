"""openai, OpenAI's SDK, at Google's OpenAI-style routes."""

from driver import BASE, KEY, operation, run

# recipe
from openai import OpenAI

client = OpenAI(api_key=KEY, base_url=f"{BASE}/v1beta/openai/")
# end of recipe

FLASH = "gemini-2.5-flash"


def chat(text, model=FLASH, **more):
    messages = [{"role": "user", "content": text}]
    return client.chat.completions.create(model=model, messages=messages, **more)


@operation
def completion():
    return chat("Tell me of bees")


@operation
def stream():
    return iter(chat("Tell me of bees", stream=True))


@operation
def stream_with_usage():
    return iter(chat("Tell me of bees", stream=True, stream_options={"include_usage": True}))


@operation
def function_call():
    parameters = {"type": "object", "properties": {"city": {"type": "string"}}}
    function = {"name": "weather", "parameters": parameters}
    return chat("Weather in Oslo?", tools=[{"type": "function", "function": function}])


@operation
def structured_output():
    schema = {"type": "object", "properties": {"name": {"type": "string"}}}
    json_schema = {"name": "one", "schema": schema}
    return chat("Invent one", response_format={"type": "json_schema", "json_schema": json_schema})


@operation
def long_session():
    """Of a coding agent: 1.6 MB, in messages that speak of files."""
    said = "The agent reads src/files/env.py. " + "x" * 3000
    messages = [{"role": "user", "content": f"{number}: {said}"} for number in range(500)]
    return client.chat.completions.create(model=FLASH, messages=messages)


@operation
def embeddings():
    return client.embeddings.create(model="gemini-embedding-001", input=["three words here"])


@operation
def list_models():
    return iter(client.models.list())


@operation
def get_model():
    return client.models.retrieve(FLASH)


@operation
def error_400():
    return chat("!400")


@operation
def error_404():
    return chat("Say hello", model="bard-1")


@operation
def error_429():
    return chat("!429", timeout=30)


run()
