"""instructor, on google-genai."""

from driver import BASE, KEY, operation, run

# recipe
import instructor
from google import genai

google = genai.Client(api_key=KEY, http_options={"base_url": BASE})
client = instructor.from_genai(google, model="gemini-2.5-flash")
# end of recipe
from pydantic import BaseModel


class Person(BaseModel):
    name: str
    age: int


def asked(text, **more):
    messages = [{"role": "user", "content": text}]
    return client.chat.completions.create(response_model=Person, messages=messages, max_retries=1, **more)


@operation
def extract():
    return asked("Invent one")


@operation
def stream():
    messages = [{"role": "user", "content": "Invent one"}]
    return iter(client.chat.completions.create_partial(response_model=Person, messages=messages))


@operation
def error_400():
    return asked("!400")


run()
