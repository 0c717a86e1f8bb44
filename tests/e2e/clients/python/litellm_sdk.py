"""LiteLLM's SDK."""

import os

from driver import BASE, KEY, operation, run

os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"  # or it asks another site first

# recipe
import litellm


def completion(text, model="gemini/gemini-2.5-flash", **more):
    messages = [{"role": "user", "content": text}]
    return litellm.completion(model, messages, api_key=KEY, api_base=f"{BASE}/v1beta", **more)


# end of recipe


@operation
def complete():
    return completion("Tell me of bees")


@operation
def stream():
    return iter(completion("Tell me of bees", stream=True))


@operation
async def complete_async():
    messages = [{"role": "user", "content": "Tell me of bees"}]
    more = {"api_key": KEY, "api_base": f"{BASE}/v1beta"}
    return await litellm.acompletion("gemini/gemini-2.5-flash", messages, **more)


@operation
def function_call():
    parameters = {"type": "object", "properties": {"city": {"type": "string"}}}
    function = {"name": "weather", "description": "The weather in a city", "parameters": parameters}
    made = completion("Weather in Oslo?", tools=[{"type": "function", "function": function}])
    return made.choices[0].message.tool_calls[0].function


@operation
def embed():
    return litellm.embedding(
        "gemini/gemini-embedding-001", ["three words here"], api_key=KEY, api_base=f"{BASE}/v1beta"
    )


@operation
def upload_file():
    file = ("bees.txt", b"bees", "text/plain")
    made = litellm.create_file(
        file=file, purpose="user_data", custom_llm_provider="gemini", api_key=KEY, api_base=BASE
    )
    return {"name": made.id, "bytes": made.bytes, "status": made.status}


@operation
def error_400():
    return completion("!400")


@operation
def error_404():
    return completion("Say hello", "gemini/bard-1")


run()
