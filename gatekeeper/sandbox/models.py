"""The models that the sandbox lists, in Google's Model resource form (`GET /v1beta/models`).

Limits are those of recorded lists; for families newer than these recordings, those of the generation before.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from gatekeeper.sandbox.errors import ApiError, no_model
from gatekeeper.sandbox.wire import Json

MILLION = 1_048_576
LONG = 65_536
SHORT = 8_192


class Kind(Enum):
    """What a model can do; the value is its `supportedGenerationMethods`."""

    TEXT = ("generateContent", "countTokens", "createCachedContent", "batchGenerateContent")
    EMBEDDING = ("embedContent", "countTextTokens", "countTokens", "asyncBatchEmbedContent")


@dataclass(frozen=True, slots=True)
class Model:
    """`inputs` and `outputs` are limits in tokens; `dimensions` is the default length of an embedding;
    `reports_embedding` tells whether embeddings come with usage (gemini-embedding-2 on)."""

    id: str
    title: str
    inputs: int = MILLION
    outputs: int = LONG
    thinking: bool = True
    kind: Kind = Kind.TEXT
    dimensions: int = 0
    reports_embedding: bool = False

    def resource(self) -> Json:
        """As Google lists it; sampling defaults belong to models that sample."""
        resource: Json = {
            "name": f"models/{self.id}",
            "version": self.version(),
            "displayName": self.title,
            "description": f"{self.title}, simulated by the sandbox.",
            "inputTokenLimit": self.inputs,
            "outputTokenLimit": self.outputs,
            "supportedGenerationMethods": list(self.kind.value),
        }
        if self.kind is Kind.TEXT:
            resource |= {"temperature": 1, "topP": 0.95, "topK": 64, "maxTemperature": 2}
        return resource | ({"thinking": True} if self.thinking else {})

    def version(self) -> str:
        numbers = [word for word in self.id.split("-") if word[0].isdigit()]
        return numbers[0] if numbers else "001"


def embedding(name: str, title: str, inputs: int, dimensions: int, *, reports: bool = False) -> Model:
    return Model(name, title, inputs, 1, False, Kind.EMBEDDING, dimensions, reports)


TABLE = (
    Model("gemini-4-argon", "Gemini 4 Argon"),
    Model("gemini-4-carbon", "Gemini 4 Carbon"),
    Model("gemini-4-hydrogen", "Gemini 4 Hydrogen"),
    Model("gemini-4-neon", "Gemini 4 Neon"),
    Model("gemini-3.8-flash", "Gemini 3.8 Flash"),
    Model("gemini-3.7-flash", "Gemini 3.7 Flash"),
    Model("gemini-3.6-flash", "Gemini 3.6 Flash"),
    Model("gemini-3.5-flash", "Gemini 3.5 Flash"),
    Model("gemini-3.5-flash-lite", "Gemini 3.5 Flash-Lite"),
    Model("gemini-3.1-pro-preview", "Gemini 3.1 Pro Preview"),
    Model("gemini-3.1-flash-lite", "Gemini 3.1 Flash-Lite"),
    Model("gemini-3-pro-preview", "Gemini 3 Pro Preview"),
    Model("gemini-3-flash-preview", "Gemini 3 Flash Preview"),
    Model("gemini-2.5-pro", "Gemini 2.5 Pro"),
    Model("gemini-2.5-flash", "Gemini 2.5 Flash"),
    Model("gemini-2.5-flash-lite", "Gemini 2.5 Flash-Lite"),
    Model("gemini-2.0-flash", "Gemini 2.0 Flash", outputs=SHORT, thinking=False),
    Model("gemini-2.0-flash-lite", "Gemini 2.0 Flash-Lite", outputs=SHORT, thinking=False),
    Model("gemini-1.5-pro", "Gemini 1.5 Pro", inputs=2_000_000, outputs=SHORT, thinking=False),
    Model("gemini-1.5-flash", "Gemini 1.5 Flash", inputs=1_000_000, outputs=SHORT, thinking=False),
    Model("gemini-1.5-flash-8b", "Gemini 1.5 Flash-8B", inputs=1_000_000, outputs=SHORT, thinking=False),
    Model("gemini-robotics-er-2-preview", "Gemini Robotics-ER 2 Preview"),
    Model("gemma-3-27b-it", "Gemma 3 27B", inputs=131_072, outputs=SHORT, thinking=False),
    embedding("gemini-embedding-2", "Gemini Embedding 2", 8_192, 3_072, reports=True),
    embedding("gemini-embedding-001", "Gemini Embedding 001", 2_048, 3_072),
    embedding("text-embedding-004", "Text Embedding 004", 2_048, 768),
)
BY_ID = {model.id: model for model in TABLE}


def listed(name: str, version: str) -> Model:
    """The listed model `name`. Raises ApiError (404) for any other, as Google does."""
    if name not in BY_ID:
        raise ApiError(404, f"Model is not found: models/{name} for api version {version}")
    return BY_ID[name]


def answering(name: str, version: str, method: str) -> Model:
    """The model that answers calls for `name`: a listed one, or any other that Google could have named so.

    Raises ApiError (404) where there is none or where it does not know `method`.
    """
    model = BY_ID.get(name) or unlisted(name)
    if model is None or method not in model.kind.value:
        raise no_model(name, version, method)
    return model


def unlisted(name: str) -> Model | None:
    if not name.startswith("gemini-"):
        return None
    return embedding(name, name, 2_048, 3_072) if "embedding" in name else Model(name, name)
