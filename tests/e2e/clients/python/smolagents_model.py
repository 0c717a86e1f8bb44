"""smolagents, over Google's OpenAI-style routes."""

from driver import BASE, KEY, operation, run

# recipe
from smolagents import OpenAIModel

model = OpenAIModel("gemini-2.5-flash", api_base=f"{BASE}/v1beta/openai/", api_key=KEY)
# end of recipe


@operation
def generate():
    return model([{"role": "user", "content": "Tell me of bees"}]).content


@operation
def stream():
    return iter(model.generate_stream([{"role": "user", "content": "Tell me of bees"}]))


@operation
def error_400():
    return model([{"role": "user", "content": "!400"}]).content


run()
