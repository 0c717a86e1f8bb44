"""The JSON structure of requests, as far as `json_request` reads it: where the members of interest are,
according to Google's reference and OpenAI's."""

from __future__ import annotations

import re
from enum import Enum, auto
from typing import TypeAlias

from gatekeeper.gemini.requested_settings import Quantity, Setting

MAX_TOOL_NAME = 64  # characters
_CAPITAL = re.compile(r"(?<!\A)([A-Z])")


class Field(Enum):
    """A member of a request whose value is collected."""

    # Enum's own `__hash__` is a Python function, too slow for a dictionary look-up per JSON member.
    __hash__ = object.__hash__

    MODEL = auto()
    AGENT = auto()
    CACHED_CONTENT = auto()
    INTERACTION = auto()
    FILE = auto()
    INPUT_FILE = auto()
    STREAM = auto()
    BACKGROUND = auto()
    CONTINUATION = auto()
    TOOL = auto()
    FILE_SEARCH_STORE = auto()
    VECTOR_STORE = auto()
    FILE_ID = auto()
    ENVIRONMENT = auto()
    CREDENTIAL = auto()
    VOICE = auto()
    RESOURCE = auto()


class Node(dict[bytes, "Node | Field | Quantity | Setting"]):
    """The members of interest of an object, by key. For an array, those of each of its elements."""

    def add(self, **members: Node | Field | Quantity | Setting) -> Node:
        """Adds members, given in snake_case, in both spellings (snake_case and camelCase)."""
        for name, meaning in members.items():
            first, *others = name.split("_")
            self[name.encode()] = meaning
            self["".join([first, *map(str.capitalize, others)]).encode()] = meaning
        return self


class NameOrNode(Node):
    """An object, or a string in its place: the name of an existing one (`field`)."""

    def __init__(self, field: Field) -> None:
        super().__init__()
        self.field = field


class ValuesNode(Node):
    """An object with arbitrary keys; `value` has the members of interest of each value."""

    def __init__(self, value: Node) -> None:
        # Not empty, because `JsonRequestParser` skips empty nodes.
        super().__init__({b"": value})
        self.value = value

    def get(self, _key: bytes, _default: Meaning = None) -> Meaning:  # type: ignore[override]  of no other types
        return self.value


class Tool(Node):
    """The members of interest of an object whose key is a tool's name."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self.name = name


class Tools(Node):
    """The members of a tool: in Google's format one per tool, with its name as key; in the formats of
    Interactions and OpenAI `type` has the name."""

    def get(self, key: bytes, default: Meaning = None) -> Meaning:  # type: ignore[override]  of no other types
        """An unknown key that contains `earch` counts as a tool, too: it may be a billed search."""
        found = super().get(key, default)
        return Tool(snake_case(key)) if found is None and b"earch" in key else found


Meaning: TypeAlias = Node | Field | Quantity | Setting | None


def snake_case(key: bytes) -> str:
    """`googleSearch` as `google_search`."""
    return _CAPITAL.sub(r"_\1", key.decode(errors="replace")).lower()[:MAX_TOOL_NAME]


# The tools of the Gemini API, and the search tools of Vertex AI.
TOOL_NAMES = (
    *("google_search", "google_search_retrieval", "google_maps", "url_context", "code_execution"),
    *("computer_use", "retrieval", "enterprise_web_search", "parallel_ai_search", "exa_ai_search"),
)
TOOL = Tools()
TOOL.add(
    **{name: Tool(name) for name in TOOL_NAMES},
    type=Field.TOOL,
    file_search=Tool("file_search").add(file_search_store_names=Field.FILE_SEARCH_STORE),
    file_search_store_names=Field.FILE_SEARCH_STORE,
    vector_store_ids=Field.VECTOR_STORE,
)
# Google's extensions of an OpenAI-style request: at the top level or in `extra_body`.
GOOGLE_OPTIONS = Node().add(cached_content=Field.CACHED_CONTENT, tools=TOOL)

# The contents of generateContent; the messages of Interactions and OpenAI-style calls.
CONTENT = Node()
CONTENT.add(parts=Node().add(file_data=Node().add(file_uri=Field.FILE), function_response=CONTENT))
MESSAGE = Node()
MESSAGE.add(
    content=MESSAGE,
    file=MESSAGE,
    file_id=Field.FILE_ID,
    uri=Field.FILE,
    image_url=Node().add(url=Field.FILE),
    result=MESSAGE,
)
# An image or video that a video is generated from.
MEDIA = Node().add(uri=Field.FILE, gcs_uri=Field.FILE, file_uri=Field.FILE)
# The environment of an interaction or an agent: the name of an existing one, or a new one.
WITH_CREDENTIAL = Node().add(credential=Field.CREDENTIAL)
VARIABLES, NETWORK = ValuesNode(WITH_CREDENTIAL), Node().add(allowlist=WITH_CREDENTIAL)
ENVIRONMENT = NameOrNode(Field.ENVIRONMENT)
ENVIRONMENT.add(environment_id=Field.ENVIRONMENT, env=VARIABLES, network=NETWORK)
SPEECH = Node()
SPEECH.add(
    voice=Field.VOICE, voice_config=SPEECH, multi_speaker_voice_config=SPEECH, speaker_voice_configs=SPEECH
)
GENERATION_CONFIG = Node().add(
    continuation_token=Field.CONTINUATION,
    max_output_tokens=Setting.MAX_OUTPUT_TOKENS,
    candidate_count=Setting.CANDIDATES,
    speech_config=SPEECH,
)
# One grammar for all methods is enough: Google rejects a member that the method does not have.
REQUEST = Node()
REQUEST.add(
    model=Field.MODEL,
    agent=Field.AGENT,
    base_agent=Field.AGENT,
    agent_config=Node().add(model=Field.MODEL),
    base_model=Field.MODEL,
    embedding_model=Field.MODEL,
    tuned_model_source=Node().add(tuned_model=Field.MODEL, base_model=Field.MODEL),
    cached_content=Field.CACHED_CONTENT,
    previous_interaction_id=Field.INTERACTION,
    continuation_token=Field.CONTINUATION,
    generation_config=GENERATION_CONFIG,
    voice=Node().add(prompted=Node().add(base_voice=Field.VOICE)),
    max_output_tokens=Setting.MAX_OUTPUT_TOKENS,
    max_tokens=Setting.MAX_OUTPUT_TOKENS,
    max_completion_tokens=Setting.MAX_OUTPUT_TOKENS,
    candidate_count=Setting.CANDIDATES,
    service_tier=Setting.SERVICE_TIER,
    store=Setting.STORE,
    tools=TOOL,
    web_search_options=Tool("web_search"),
    google=GOOGLE_OPTIONS,
    extra_body=Node().add(google=GOOGLE_OPTIONS),
    file_name=Field.INPUT_FILE,
    input_file_id=Field.INPUT_FILE,
    contents=CONTENT,
    content=CONTENT,
    system_instruction=CONTENT,
    instances=Node().add(
        video=MEDIA, image=MEDIA, last_frame=MEDIA, reference_images=Node().add(image=MEDIA)
    ),
    environment=ENVIRONMENT,
    environment_id=Field.ENVIRONMENT,
    base_environment=ENVIRONMENT,
    from_environment=Field.ENVIRONMENT,
    env=VARIABLES,
    network=NETWORK,
    semantic_retriever=Node().add(source=Field.RESOURCE),
    client_content=Node().add(turns=CONTENT),
    tool_response=Node().add(function_responses=CONTENT),
    context_update=Node().add(system_instruction=CONTENT, tools=Node().add(tools=TOOL)),
    input=MESSAGE,
    messages=MESSAGE,
    stream=Field.STREAM,
    background=Field.BACKGROUND,
    parameters=Node().add(
        sample_count=Quantity.SAMPLES,
        number_of_videos=Quantity.SAMPLES,
        duration_seconds=Quantity.SECONDS,
        resolution=Quantity.RESOLUTION,
    ),
    n=Quantity.SAMPLES,
    seconds=Quantity.SECONDS,
    size=Quantity.SIZE,
    # Members that contain a whole request: of batches, countTokens, Live, ephemeral tokens, triggers.
    requests=REQUEST,
    request=REQUEST,
    generate_content_request=REQUEST,
    embed_content_request=REQUEST,
    batch=REQUEST,
    input_config=REQUEST,
    setup=REQUEST,
    bidi_generate_content_setup=REQUEST,
    interaction=REQUEST,
)

FLAGS = frozenset({Field.STREAM, Field.BACKGROUND})
LISTED = frozenset({Field.FILE_SEARCH_STORE, Field.VECTOR_STORE})
"""Members whose value is a list of names."""
