"""The models that the sandbox lists, as Google's Model resources (`GET /v1beta/models`), and the methods of
the PaLM API, which none of them supports. Limits are those of recorded lists; for newer families those of the
previous generation."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from gatekeeper.sandbox.errors import GoogleError, model_not_found
from gatekeeper.sandbox.google_json import Json
from gatekeeper.sandbox.http import HttpResponse, Request, json_response
from gatekeeper.sandbox.routing import Parameters, Route
from gatekeeper.sandbox.store import page

LONG_CONTEXT = 1_048_576
LONG_OUTPUT = 65_536
SHORT_OUTPUT = 8_192
# Of the PaLM API, which Google has switched off: no model supports them any more.
PALM_METHODS = (
    "generateText",
    "generateMessage",
    "generateAnswer",
    "embedText",
    "batchEmbedText",
    "countTextTokens",
    "countMessageTokens",
)


class Kind(Enum):
    """What a model supports; the value is its `supportedGenerationMethods`."""

    TEXT = ("generateContent", "countTokens", "createCachedContent", "batchGenerateContent")
    LIVE = ("countTokens", "bidiGenerateContent")
    IMAGE = ("predict",)
    VIDEO = ("predictLongRunning",)
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

    @property
    def modality(self) -> str:
        """The modality of its output, which follows from its name."""
        if self.kind is Kind.TEXT and ("-image" in self.id or "nano-banana" in self.id):
            return "IMAGE"
        return "AUDIO" if self.kind is Kind.TEXT and self.id.endswith("-tts") else "TEXT"

    def version(self) -> str:
        numbers = [word for word in self.id.split("-") if word[0].isdigit()]
        return numbers[0] if numbers else "001"


def embedding(
    name: str, display_name: str, input_token_limit: int, dimensions: int, *, reports_usage: bool = False
) -> Model:
    return Model(name, display_name, input_token_limit, 1, False, Kind.EMBEDDING, dimensions, reports_usage)


def live(name: str, display_name: str, *, thinking: bool = False) -> Model:
    return Model(name, display_name, 131_072, SHORT_OUTPUT, thinking, Kind.LIVE)


def media(name: str, display_name: str, kind: Kind) -> Model:
    return Model(name, display_name, 480, SHORT_OUTPUT, False, kind)


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
    Model("gemini-2.5-flash-image", "Gemini 2.5 Flash Image", 32_768, 32_768, thinking=False),
    Model("gemini-2.5-flash-preview-tts", "Gemini 2.5 Flash Preview TTS", 8_192, 16_384, thinking=False),
    live("gemini-3.8-live", "Gemini 3.8 Live", thinking=True),
    live("gemini-3.1-flash-live-preview", "Gemini 3.1 Flash Live Preview"),
    live("gemini-2.5-flash-native-audio-latest", "Gemini 2.5 Flash Native Audio"),
    live("gemini-2.0-flash-live-001", "Gemini 2.0 Flash Live"),
    media("imagen-4.0-generate-001", "Imagen 4", Kind.IMAGE),
    media("imagen-4.0-fast-generate-001", "Imagen 4 Fast", Kind.IMAGE),
    media("veo-3.1-generate-preview", "Veo 3.1", Kind.VIDEO),
    media("veo-3.1-lite-generate-preview", "Veo 3.1 Lite", Kind.VIDEO),
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
    """A model whose kind follows from its name, by Google's naming; None for other names."""
    family, _, _ = name.partition("-")
    match family:
        case "imagen":
            return media(name, name, Kind.IMAGE)
        case "veo":
            return media(name, name, Kind.VIDEO)
        case "gemini" if "embedding" in name:
            return embedding(name, name, 2_048, 3_072)
        case "gemini" if "-live" in name or "native-audio" in name:
            return live(name, name)
        case "gemini":
            return Model(name, name, thinking="-image" not in name and not name.endswith("-tts"))
        case _:
            return None


def list_models(request: Request, _at: Parameters) -> HttpResponse:
    some, more = page(TABLE, request.query.get("pageSize"), request.query.get("pageToken"))
    return json_response({"models": [model.resource() for model in some]} | more)


MODEL_ROUTES = (
    Route("GET", "/{v}/models", list_models),
    Route("GET", "/{v}/models/{id}", lambda _, at: json_response(get_model(at.name, at.version).resource())),
)


def refuse_palm(request: Request, at: Parameters) -> HttpResponse:
    raise model_not_found(at.name, at.version, request.path.rpartition(":")[2])


PALM_ROUTES = tuple(
    Route("POST", f"/{{v}}/{kind}/{{id}}:{method}", refuse_palm)
    for kind in ("models", "tunedModels")
    for method in PALM_METHODS
)
