"""Pydantic AI."""

from driver import BASE, KEY, operation, run

# recipe
from pydantic_ai.models.google import GoogleModel
from pydantic_ai.providers.google import GoogleProvider

model = GoogleModel("gemini-2.5-flash", provider=GoogleProvider(api_key=KEY, base_url=BASE))
# end of recipe
from pydantic_ai import Agent

agent = Agent(model)


@operation
async def ask():
    answer = await agent.run("Tell me of bees")
    return {"output": answer.output, "usage": answer.usage}


@operation
async def stream():
    async with agent.run_stream("Tell me of bees") as answer:
        return [text async for text in answer.stream_text(debounce_by=None)]


@operation
async def tool_call():
    helped = Agent(model)

    @helped.tool_plain
    def weather(city: str) -> str:
        """The weather in a city."""
        return f"sunny in {city}"

    return (await helped.run("Weather in Oslo?")).output


@operation
async def structured_output():
    return (await Agent(model, output_type=dict[str, str]).run("Invent one")).output


@operation
async def error_400():
    return (await agent.run("!400")).output


@operation
async def error_404():
    other = GoogleModel("bard-1", provider=GoogleProvider(api_key=KEY, base_url=BASE))
    return (await Agent(other).run("Say hello")).output


run()
