"""mem0's model and embedder for Gemini."""

import os

from driver import BASE, KEY, operation, run

# recipe
os.environ["GOOGLE_GEMINI_BASE_URL"] = BASE
os.environ["GOOGLE_API_KEY"] = KEY
from mem0.configs.llms.base import BaseLlmConfig
from mem0.llms.gemini import GeminiLLM

llm = GeminiLLM(BaseLlmConfig(model="gemini-2.5-flash"))
# end of recipe
from mem0.configs.embeddings.base import BaseEmbedderConfig
from mem0.embeddings.gemini import GoogleGenAIEmbedding


@operation
def generate():
    return llm.generate_response([{"role": "user", "content": "Tell me of bees"}])


@operation
def embed():
    config = BaseEmbedderConfig(model="models/gemini-embedding-001", embedding_dims=768)
    return GoogleGenAIEmbedding(config).embed("three words here")


@operation
def error_400():
    return llm.generate_response([{"role": "user", "content": "!400"}])


run()
