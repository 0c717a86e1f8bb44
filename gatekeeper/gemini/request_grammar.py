"""Where the members that `request_parser` collects stand in a request, by Google's reference and OpenAI's."""

from __future__ import annotations

from enum import Enum, auto
from typing import TypeAlias

from gatekeeper.gemini.requested_media import Quantity


class Field(Enum):
    """A member of a request that is collected."""

    MODEL = auto()
    CACHED_CONTENT = auto()
    INTERACTION = auto()
    FILE = auto()
    STREAM = auto()
    BACKGROUND = auto()
    INCLUDE_USAGE = auto()
    CONTINUATION = auto()


class Node(dict[bytes, "Node | Field | Quantity"]):
    """The members of an object that are of interest, by key. Arrays are transparent: a node stands for each
    element of an array, too."""

    def add(self, **members: Node | Field | Quantity) -> Node:
        """Adds members, named in snake case, in both spellings."""
        for name, meaning in members.items():
            first, *others = name.split("_")
            self[name.encode()] = meaning
            self["".join([first, *map(str.capitalize, others)]).encode()] = meaning
        return self


Meaning: TypeAlias = Node | Field | Quantity | None

# The contents of generateContent; the messages of Interactions and OpenAI-style calls.
CONTENT = Node()
CONTENT.add(parts=Node().add(file_data=Node().add(file_uri=Field.FILE), function_response=CONTENT))
MESSAGE = Node()
MESSAGE.add(
    content=MESSAGE,
    file=MESSAGE,
    file_id=Field.FILE,
    uri=Field.FILE,
    image_url=Node().add(url=Field.FILE),
)
# One grammar for all methods: Google answers an error to a member that the method does not have.
REQUEST = Node()
REQUEST.add(
    model=Field.MODEL,
    agent=Field.MODEL,
    base_model=Field.MODEL,
    tuned_model_source=Node().add(tuned_model=Field.MODEL, base_model=Field.MODEL),
    cached_content=Field.CACHED_CONTENT,
    previous_interaction_id=Field.INTERACTION,
    continuation_token=Field.CONTINUATION,
    generation_config=Node().add(continuation_token=Field.CONTINUATION),
    file_name=Field.FILE,
    input_file_id=Field.FILE,
    contents=CONTENT,
    content=CONTENT,
    system_instruction=CONTENT,
    input=MESSAGE,
    messages=MESSAGE,
    stream=Field.STREAM,
    background=Field.BACKGROUND,
    stream_options=Node().add(include_usage=Field.INCLUDE_USAGE),
    parameters=Node().add(
        sample_count=Quantity.SAMPLES,
        number_of_videos=Quantity.SAMPLES,
        duration_seconds=Quantity.SECONDS,
        resolution=Quantity.RESOLUTION,
    ),
    n=Quantity.SAMPLES,
    seconds=Quantity.SECONDS,
    size=Quantity.SIZE,
    # Those that contain a whole request: batches, countTokens, Live, ephemeral tokens, triggers.
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

FLAGS = frozenset({Field.STREAM, Field.BACKGROUND, Field.INCLUDE_USAGE})
