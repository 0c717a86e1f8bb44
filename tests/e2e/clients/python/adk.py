"""Google's Agent Development Kit."""

import os

from driver import BASE, KEY, operation, run

# recipe
os.environ["GOOGLE_API_KEY"] = KEY
from google.adk.models import Gemini

model = Gemini(model="gemini-2.5-flash", base_url=BASE)
# end of recipe
from google.adk.models import LlmRequest
from google.genai import types


def said(text, name="gemini-2.5-flash", stream=False):
    content = types.Content(role="user", parts=[types.Part(text=text)])
    return model.generate_content_async(LlmRequest(model=name, contents=[content]), stream=stream)


@operation
def generate():
    return said("Tell me of bees")


@operation
def stream():
    return said("Tell me of bees", stream=True)


@operation
async def agent():
    from google.adk.agents import LlmAgent
    from google.adk.runners import InMemoryRunner

    def weather(city: str) -> str:
        """The weather in a city."""
        return f"sunny in {city}"

    runner = InMemoryRunner(LlmAgent(name="one", model=model, tools=[weather]), app_name="bees")
    session = await runner.session_service.create_session(app_name="bees", user_id="u", session_id="s")
    content = types.Content(role="user", parts=[types.Part(text="Weather in Oslo?")])
    events = runner.run_async(user_id="u", session_id=session.id, new_message=content)
    return [event.content async for event in events]


@operation
def error_400():
    return said("!400")


@operation
def error_404():
    return said("Say hello", name="bard-1")


run()
