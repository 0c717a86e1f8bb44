"""LlamaIndex, for Gemini."""

from driver import BASE, KEY, operation, run

# recipe
from llama_index.llms.google_genai import GoogleGenAI

llm = GoogleGenAI(model="gemini-2.5-flash", api_key=KEY, http_options={"base_url": BASE})
# end of recipe
from llama_index.core.llms import ChatMessage


@operation
def complete():
    return llm.complete("Tell me of bees")


@operation
def stream():
    return iter(llm.stream_complete("Tell me of bees"))


@operation
def chat():
    return llm.chat([ChatMessage(role="user", content="Tell me of bees")])


@operation
async def complete_async():
    return await llm.acomplete("Tell me of bees")


@operation
def construct():
    return GoogleGenAI(model="gemini-2.5-pro", api_key=KEY, http_options={"base_url": BASE}).model


@operation
def error_400():
    return llm.complete("!400")


@operation
def error_404():
    return GoogleGenAI(model="bard-1", api_key=KEY, http_options={"base_url": BASE}).model


run()
