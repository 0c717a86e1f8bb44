"""Mirascope."""

from driver import BASE, KEY, operation, run

# recipe
from mirascope import llm

llm.register_provider("google", scope="google/", api_key=KEY, base_url=BASE)
model = llm.Model("google/gemini-2.5-flash")
# end of recipe


@operation
def call():
    return model.call("Tell me of bees").text()


@operation
def stream():
    return iter(model.stream("Tell me of bees").text_stream())


@operation
def error_400():
    return model.call("!400").text()


run()
