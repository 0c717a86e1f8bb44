"""CrewAI's model for Gemini."""

from driver import BASE, KEY, operation, run

# recipe
from crewai import LLM

llm = LLM(model="gemini/gemini-2.5-flash", api_key=KEY, client_params={"http_options": {"base_url": BASE}})
# end of recipe


@operation
def call():
    return llm.call("Tell me of bees")


@operation
def stream():
    streaming = LLM(
        model="gemini/gemini-2.5-flash",
        api_key=KEY,
        client_params={"http_options": {"base_url": BASE}},
        stream=True,
    )
    return streaming.call("Tell me of bees")


@operation
def error_400():
    return llm.call("!400")


run()
