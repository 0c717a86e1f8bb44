"""agno."""

from driver import BASE, KEY, operation, run

# recipe
from agno.models.google import Gemini

model = Gemini(id="gemini-2.5-flash", api_key=KEY, client_params={"http_options": {"base_url": BASE}})
# end of recipe
from agno.agent import Agent

agent = Agent(model=model, telemetry=False)


@operation
def ask():
    answer = agent.run("Tell me of bees")
    return {"content": answer.content, "status": answer.status}


@operation
def stream():
    return (
        (event.event, getattr(event, "content", None)) for event in agent.run("Tell me of bees", stream=True)
    )


@operation
def tool_call():
    def weather(city: str) -> str:
        """The weather in a city."""
        return f"sunny in {city}"

    return Agent(model=model, tools=[weather], telemetry=False).run("Weather in Oslo?").content


@operation
def error_400():
    answer = agent.run("!400")
    return {"content": answer.content, "status": answer.status}


run()
