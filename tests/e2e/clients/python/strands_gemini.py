"""Strands Agents."""

from driver import BASE, KEY, operation, run

# recipe
from strands.models.gemini import GeminiModel

model = GeminiModel(
    client_args={"api_key": KEY, "http_options": {"base_url": BASE}}, model_id="gemini-2.5-flash"
)
# end of recipe
from strands import Agent


@operation
def ask():
    return str(Agent(model, callback_handler=None)("Tell me of bees"))


@operation
def stream():
    return model.stream([{"role": "user", "content": [{"text": "Tell me of bees"}]}])


@operation
def error_400():
    return str(Agent(model, callback_handler=None)("!400"))


run()
