"""langchain-google-genai."""

from driver import BASE, KEY, operation, run

# recipe
from langchain_google_genai import ChatGoogleGenerativeAI, GoogleGenerativeAIEmbeddings

chat = ChatGoogleGenerativeAI(model="gemini-2.5-flash", api_key=KEY, base_url=BASE)
embeddings = GoogleGenerativeAIEmbeddings(model="gemini-embedding-001", google_api_key=KEY, base_url=BASE)
# end of recipe

once = ChatGoogleGenerativeAI(model="gemini-2.5-flash", api_key=KEY, base_url=BASE, max_retries=1)


@operation
def invoke():
    return chat.invoke("Tell me of bees")


@operation
def stream():
    return iter(chat.stream("Tell me of bees"))


@operation
async def invoke_async():
    return await chat.ainvoke("Tell me of bees")


@operation
def stream_async():
    return chat.astream("Tell me of bees")


@operation
def batch():
    return chat.batch(["Say one"]), chat.batch(["Say two"])


@operation
def tool_call():
    def weather(city: str) -> str:
        """The weather in a city."""
        return f"sunny in {city}"

    return chat.bind_tools([weather]).invoke("Weather in Oslo?").tool_calls[0]["args"]


@operation
def structured_output():
    schema = {"title": "One", "type": "object", "properties": {"name": {"type": "string"}}}
    return chat.with_structured_output(schema, method="json_schema").invoke("Invent one")


@operation
def count_tokens():
    return chat.get_num_tokens("Say hello")


@operation
def embed_query():
    return embeddings.embed_query("three words here")


@operation
def embed_documents():
    return embeddings.embed_documents(["three words here", "again"])


@operation
def error_400():
    return once.invoke("!400")


@operation
def error_404():
    other = ChatGoogleGenerativeAI(model="bard-1", api_key=KEY, base_url=BASE, max_retries=1)
    return other.invoke("Say hello")


@operation
def error_429():
    return once.invoke("!429")


@operation
def error_in_stream():
    return iter(once.stream("!error tell me of bees"))


run()
