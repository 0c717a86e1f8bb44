"""any-llm."""

from driver import BASE, KEY, operation, run

# recipe
from any_llm import completion


def asked(text, **more):
    messages = [{"role": "user", "content": text}]
    return completion(
        provider="gemini", model="gemini-2.5-flash", messages=messages, api_key=KEY, api_base=BASE, **more
    )


# end of recipe
from any_llm import embedding


@operation
def complete():
    return asked("Tell me of bees")


@operation
def stream():
    return iter(asked("Tell me of bees", stream=True))


@operation
def embed():
    made = embedding(
        provider="gemini",
        model="gemini-embedding-001",
        inputs=["three words here"],
        api_key=KEY,
        api_base=BASE,
    )
    return made.data


@operation
def error_400():
    return asked("!400")


run()
