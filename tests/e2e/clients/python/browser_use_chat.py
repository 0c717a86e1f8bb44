"""browser-use's model for Gemini."""

from driver import BASE, KEY, operation, run

# recipe
from browser_use import ChatGoogle

chat = ChatGoogle(model="gemini-2.5-flash", api_key=KEY, http_options={"base_url": BASE})
# end of recipe
from browser_use.llm.messages import UserMessage
from pydantic import BaseModel


class Person(BaseModel):
    name: str


@operation
async def ask():
    return await chat.ainvoke([UserMessage(content="Tell me of bees")])


@operation
async def structured_output():
    return await chat.ainvoke([UserMessage(content="Invent one")], output_format=Person)


@operation
async def error_400():
    return await chat.ainvoke([UserMessage(content="!400")])


run()
