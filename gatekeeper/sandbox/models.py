"""The models that the sandbox lists, as Google's Model resources (`GET /v1beta/models`), and the number of
tokens of a request, by modality. countTokens and the prompt of a call use the same count.

Limits are those of recorded lists; for newer families those of the previous generation. There is no
tokenizer: four characters are a token, which is Google's own rule of thumb, an image is 258 tokens, and audio
and video are measured by their bytes at usual bit rates (https://ai.google.dev/gemini-api/docs/tokens).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

from gatekeeper.sandbox.errors import GoogleError, model_not_found
from gatekeeper.sandbox.google_json import MODALITIES, Json, field, message, messages, one_line, text

LONG_CONTEXT = 1_048_576
LONG_OUTPUT = 65_536
SHORT_OUTPUT = 8_192


class Kind(Enum):
    """What a model supports; the value is its `supportedGenerationMethods`."""

    TEXT = ("generateContent", "countTokens", "createCachedContent", "batchGenerateContent")
    EMBEDDING = ("embedContent", "countTextTokens", "countTokens", "asyncBatchEmbedContent")


@dataclass(frozen=True, slots=True)
class Model:
    """`dimensions` is the default length of an embedding; `reports_usage` tells whether embeddings come
    with usage (since gemini-embedding-2)."""

    id: str
    display_name: str
    input_token_limit: int = LONG_CONTEXT
    output_token_limit: int = LONG_OUTPUT
    thinking: bool = True
    kind: Kind = Kind.TEXT
    dimensions: int = 0
    reports_usage: bool = False

    def resource(self) -> Json:
        """As Google lists it; only text models have sampling defaults."""
        resource: Json = {
            "name": f"models/{self.id}",
            "version": self.version(),
            "displayName": self.display_name,
            "description": f"{self.display_name}, simulated by the sandbox.",
            "inputTokenLimit": self.input_token_limit,
            "outputTokenLimit": self.output_token_limit,
            "supportedGenerationMethods": list(self.kind.value),
        }
        if self.kind is Kind.TEXT:
            resource |= {"temperature": 1, "topP": 0.95, "topK": 64, "maxTemperature": 2}
        return resource | ({"thinking": True} if self.thinking else {})

    def version(self) -> str:
        numbers = [word for word in self.id.split("-") if word[0].isdigit()]
        return numbers[0] if numbers else "001"


def embedding(
    name: str, display_name: str, input_token_limit: int, dimensions: int, *, reports_usage: bool = False
) -> Model:
    return Model(name, display_name, input_token_limit, 1, False, Kind.EMBEDDING, dimensions, reports_usage)


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
    Model("gemini-2.0-flash", "Gemini 2.0 Flash", output_token_limit=SHORT_OUTPUT, thinking=False),
    Model("gemini-2.0-flash-lite", "Gemini 2.0 Flash-Lite", output_token_limit=SHORT_OUTPUT, thinking=False),
    Model(
        "gemini-1.5-pro",
        "Gemini 1.5 Pro",
        input_token_limit=2_000_000,
        output_token_limit=SHORT_OUTPUT,
        thinking=False,
    ),
    Model(
        "gemini-1.5-flash",
        "Gemini 1.5 Flash",
        input_token_limit=1_000_000,
        output_token_limit=SHORT_OUTPUT,
        thinking=False,
    ),
    Model(
        "gemini-1.5-flash-8b",
        "Gemini 1.5 Flash-8B",
        input_token_limit=1_000_000,
        output_token_limit=SHORT_OUTPUT,
        thinking=False,
    ),
    Model("gemini-robotics-er-2-preview", "Gemini Robotics-ER 2 Preview"),
    Model(
        "gemma-3-27b-it",
        "Gemma 3 27B",
        input_token_limit=131_072,
        output_token_limit=SHORT_OUTPUT,
        thinking=False,
    ),
    embedding("gemini-embedding-2", "Gemini Embedding 2", 8_192, 3_072, reports_usage=True),
    embedding("gemini-embedding-001", "Gemini Embedding 001", 2_048, 3_072),
    embedding("text-embedding-004", "Text Embedding 004", 2_048, 768),
)
BY_ID = {model.id: model for model in TABLE}


def get_model(name: str, version: str) -> Model:
    """The listed model `name`. Raises GoogleError (404) for any other, as Google does."""
    if name not in BY_ID:
        raise GoogleError(404, f"Model is not found: models/{name} for api version {version}")
    return BY_ID[name]


def resolve_model(name: str, version: str, method: str) -> Model:
    """The model for calls to `name`: a listed one, or an unlisted one with a name that Google could have
    given.

    Raises GoogleError (404) if there is none or if it does not support `method`.
    """
    # An unlisted id may be a model of Google's that is newer than this list.
    model = BY_ID.get(name) or unlisted_model(name)
    if model is None or method not in model.kind.value:
        raise model_not_found(name, version, method)
    return model


def unlisted_model(name: str) -> Model | None:
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
TokenCounts = Counter[str]

# From a file's URI to its MIME type and size in bytes; raises GoogleError for a missing file.
FileLookup = Callable[[str], tuple[str, int]]


def text_tokens(words: str) -> int:
    return character_tokens(len(words))


def character_tokens(length: int) -> int:
    return -(-length // CHARACTERS_PER_TOKEN)


def count_tokens(request: Json, find_file: FileLookup) -> TokenCounts:
    """Of a generate request, a cached content or countTokens' body: contents, system instruction and
    tools."""
    total = TokenCounts()
    instruction = message(field(request, "systemInstruction"))
    for content in [instruction, *messages(field(request, "contents"))]:
        total += content_tokens(content, find_file)
    return total + TokenCounts(TEXT=json_tokens(field(request, "tools")))


def content_tokens(content: Json, find_file: FileLookup) -> TokenCounts:
    total = TokenCounts()
    for part in messages(field(content, "parts")):
        total += part_tokens(part, find_file)
    return total


def part_tokens(part: Json, find_file: FileLookup) -> TokenCounts:
    inline, file = field(part, "inlineData"), field(part, "fileData")
    if inline is not None:
        # Four characters of base64 are three bytes.
        blob = message(inline)
        return media_tokens(text(field(blob, "mimeType")), len(text(field(blob, "data"))) * 3 // 4)
    if file is not None:
        return media_tokens(*find_file(text(field(message(file), "fileUri"))))
    if "text" in part:
        return TokenCounts(TEXT=text_tokens(text(part["text"])))
    return TokenCounts(TEXT=json_tokens(part))


def media_tokens(mime: str, size: int) -> TokenCounts:
    match mime.partition("/"):
        case ("image", _, _):
            return TokenCounts(IMAGE=IMAGE_TOKENS)
        case ("audio", _, _):
            return TokenCounts(AUDIO=max(1, size // AUDIO_BYTES_PER_TOKEN))
        case ("video", _, _):
            return TokenCounts(VIDEO=max(1, size // VIDEO_BYTES_PER_TOKEN))
        # Google counts each page as an image.
        case ("application", _, "pdf"):
            return TokenCounts(DOCUMENT=IMAGE_TOKENS * -(-size // PDF_PAGE_BYTES))
        case _:
            return TokenCounts(TEXT=character_tokens(size))


def json_tokens(value: object) -> int:
    return text_tokens(one_line(value).decode()) if value else 0


def token_details(total: TokenCounts) -> list[Json]:
    return [{"modality": name, "tokenCount": total[name]} for name in MODALITIES if total[name]]
