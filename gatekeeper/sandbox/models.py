"""The models that the sandbox lists, in Google's Model resource form (`GET /v1beta/models`), and how many
tokens a request is to them, by modality. The same count answers countTokens and is a call's prompt.

Limits are those of recorded lists; for families newer than these recordings, those of the generation before.
There is no tokenizer: four characters are a token, which is Google's own rule of thumb, an image is 258, and
sound and film are measured by their bytes at usual bit rates (https://ai.google.dev/gemini-api/docs/tokens).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

from gatekeeper.sandbox.errors import ApiError, no_model
from gatekeeper.sandbox.wire import MODALITY, Json, field, message, messages, one_line, text

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
    # An id that is not listed may be a model of Google's that is newer than this list.
    model = BY_ID.get(name) or unlisted(name)
    if model is None or method not in model.kind.value:
        raise no_model(name, version, method)
    return model


def unlisted(name: str) -> Model | None:
    if not name.startswith("gemini-"):
        return None
    return embedding(name, name, 2_048, 3_072) if "embedding" in name else Model(name, name)


CHARACTERS_PER_TOKEN = 4
IMAGE_TOKENS = 258
PDF_PAGE_BYTES = 50_000
# 128 kbit/s, 32 tokens a second
AUDIO_BYTES_PER_TOKEN = 16_000 // 32
# 2 Mbit/s, 263 tokens a second
VIDEO_BYTES_PER_TOKEN = 250_000 // 263

# Tokens by modality (`TEXT`, `IMAGE`, …).
Tally = Counter[str]

# From a file's URI to its MIME type and size in bytes; raises ApiError for a file that is not there.
Find = Callable[[str], tuple[str, int]]


def count(words: str) -> int:
    return of_characters(len(words))


def of_characters(length: int) -> int:
    return -(-length // CHARACTERS_PER_TOKEN)


def tally(request: Json, find: Find) -> Tally:
    """Of a generate request, a cached content or countTokens' body: what is said, instructed and offered."""
    total = Tally()
    instruction = message(field(request, "systemInstruction"))
    for content in [instruction, *messages(field(request, "contents"))]:
        total += of_content(content, find)
    return total + Tally(TEXT=of_json(field(request, "tools")))


def of_content(content: Json, find: Find) -> Tally:
    total = Tally()
    for part in messages(field(content, "parts")):
        total += of_part(part, find)
    return total


def of_part(part: Json, find: Find) -> Tally:
    inline, file = field(part, "inlineData"), field(part, "fileData")
    if inline is not None:
        # Four characters of base64 are three bytes.
        blob = message(inline)
        return of_media(text(field(blob, "mimeType")), len(text(field(blob, "data"))) * 3 // 4)
    if file is not None:
        return of_media(*find(text(field(message(file), "fileUri"))))
    if "text" in part:
        return Tally(TEXT=count(text(part["text"])))
    return Tally(TEXT=of_json(part))


def of_media(mime: str, size: int) -> Tally:
    match mime.partition("/"):
        case ("image", _, _):
            return Tally(IMAGE=IMAGE_TOKENS)
        case ("audio", _, _):
            return Tally(AUDIO=max(1, size // AUDIO_BYTES_PER_TOKEN))
        case ("video", _, _):
            return Tally(VIDEO=max(1, size // VIDEO_BYTES_PER_TOKEN))
        # Google counts each page as an image.
        case ("application", _, "pdf"):
            return Tally(DOCUMENT=IMAGE_TOKENS * -(-size // PDF_PAGE_BYTES))
        case _:
            return Tally(TEXT=of_characters(size))


def of_json(value: object) -> int:
    return count(one_line(value).decode()) if value else 0


def details(total: Tally) -> list[Json]:
    return [{"modality": name, "tokenCount": total[name]} for name in MODALITY if total[name]]
