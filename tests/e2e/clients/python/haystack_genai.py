"""Haystack, for Gemini."""

import os

from driver import BASE, KEY, operation, run

# recipe
os.environ["GOOGLE_GEMINI_BASE_URL"] = BASE
os.environ["GOOGLE_API_KEY"] = KEY
from haystack_integrations.components.generators.google_genai import GoogleGenAIChatGenerator

generator = GoogleGenAIChatGenerator(model="gemini-2.5-flash")
# end of recipe
from haystack.dataclasses import ChatMessage
from haystack_integrations.components.embedders.google_genai import GoogleGenAITextEmbedder


@operation
def chat():
    return str(generator.run([ChatMessage.from_user("Tell me of bees")])["replies"][0])


@operation
def stream():
    chunks = []
    generator.run([ChatMessage.from_user("Tell me of bees")], streaming_callback=chunks.append)
    return [chunk.content for chunk in chunks]


@operation
def embed():
    return GoogleGenAITextEmbedder(model="gemini-embedding-001").run("three words here")["embedding"]


@operation
def error_400():
    return str(generator.run([ChatMessage.from_user("!400")])["replies"][0])


run()
