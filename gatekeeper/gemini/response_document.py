"""The metered members of a JSON document in a response of the Gemini API, Interactions or the OpenAI-style
API.

`object` and `msgspec.Raw`, and `decode_response`, so that one invalid member does not invalidate the others.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import msgspec

from gatekeeper.gemini.splitters import Document

# By number, as `enum-encoding=int` sends them: google.ai.generativelanguage.v1beta, Candidate.FinishReason
# and GenerateContentResponse.PromptFeedback.BlockReason.
_FINISH_REASONS = (
    "FINISH_REASON_UNSPECIFIED",
    "STOP",
    "MAX_TOKENS",
    "SAFETY",
    "RECITATION",
    "OTHER",
    "LANGUAGE",
    "BLOCKLIST",
    "PROHIBITED_CONTENT",
    "SPII",
    "MALFORMED_FUNCTION_CALL",
    "IMAGE_SAFETY",
    "UNEXPECTED_TOOL_CALL",
    "TOO_MANY_TOOL_CALLS",
    "IMAGE_PROHIBITED_CONTENT",
    "IMAGE_OTHER",
    "NO_IMAGE",
    "IMAGE_RECITATION",
)
_BLOCK_REASONS = (
    "BLOCK_REASON_UNSPECIFIED",
    "SAFETY",
    "OTHER",
    "BLOCKLIST",
    "PROHIBITED_CONTENT",
    "IMAGE_SAFETY",
)


class Candidate(msgspec.Struct, rename="camel"):
    finish_reason: object = None
    grounding_metadata: object = None
    continuation_token: object = None


class PromptFeedback(msgspec.Struct, rename="camel"):
    block_reason: object = None


class Choice(msgspec.Struct):
    """OpenAI's candidate."""

    finish_reason: object = None


class Step(msgspec.Struct):
    """A step of an interaction: a tool call such as a search, or the model's output."""

    type: object = None
    arguments: object = None


class Image(
    msgspec.Struct, rename={"rai_filtered_reason": "raiFilteredReason", "content_type": "contentType"}
):
    """An image: one of Imagen's predictions (a withheld image has a reason, and an extra prediction may have
    the safety ratings of the prompt), or OpenAI's format of it."""

    rai_filtered_reason: object = None
    content_type: object = None
    b64_json: object = None
    url: object = None


class Metadata(msgspec.Struct):
    """`metadata` of any event of an interaction."""

    total_usage: msgspec.Raw = msgspec.Raw()


class RegisteredFile(msgspec.Struct):
    """A file in the response to `files:register`."""

    name: object = None


class Interaction(msgspec.Struct):
    """The interaction in the events that begin and end one."""

    usage: msgspec.Raw = msgspec.Raw()
    id: object = None
    environment_id: object = None
    model: object = None
    status: object = None
    service_tier: object = None
    continuation_token: object = None
    steps: list[Step] | None = None
    outputs: list[Step] | None = None


class ResponseDocument(
    msgspec.Struct,
    rename={
        "usage_metadata": "usageMetadata",
        "model_version": "modelVersion",
        "prompt_feedback": "promptFeedback",
        "top_continuation_token": "continuationToken",
    },
):
    """A response or an event. `step_usage`, in the `step.stop` event of an interaction, is not read: it is
    part of `usage`."""

    candidates: list[Candidate] | None = None
    usage_metadata: msgspec.Raw = msgspec.Raw()
    model_version: object = None
    prompt_feedback: PromptFeedback | None = None
    error: object = None
    # Resources, and operations
    name: object = None
    id: object = None
    file: object = None
    files: list[RegisteredFile] | None = None
    environment_id: object = None
    # Interactions, and OpenAI-style
    usage: msgspec.Raw = msgspec.Raw()
    model: object = None
    choices: list[Choice] | None = None
    status: object = None
    service_tier: object = None
    metadata: Metadata | None = None
    interaction: Interaction | None = None
    # Of an interaction, or of an event of one
    continuation_token: object = None
    # Not observed there yet
    top_continuation_token: object = None
    # The names for `steps` and `step` in earlier versions of Interactions
    steps: list[Step] | None = None
    outputs: list[Step] | None = None
    step: Step | None = None
    content: Step | None = None
    # Imagen's pictures; OpenAI's, and its embeddings
    predictions: list[Image] | None = None
    data: list[Image] | None = None

    def other_usage(self) -> bytes:
        """The usage of a document without a valid `usageMetadata`; that of the interaction itself, which is
        the total, takes precedence. If none is an object, whatever was sent in its place; empty if nothing
        was."""
        sent = (
            bytes(self.interaction.usage) if self.interaction else b"",
            bytes(self.usage),
            bytes(self.metadata.total_usage) if self.metadata else b"",
            bytes(self.usage_metadata),
        )
        valid = next((raw for raw in sent if raw.startswith(b"{")), None)
        return valid or next((raw for raw in sent if raw not in (b"", b"null")), b"")


_decode = msgspec.json.Decoder(ResponseDocument).decode
_decode_members = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode


def decode_response(document: Document) -> ResponseDocument:
    """Decodes a document; members of an unexpected type count as missing. Raises ValueError or RecursionError
    if it is not a JSON object."""
    try:
        return _decode(document)
    except msgspec.ValidationError:
        members = _decode_members(document).items()
        return _decode(msgspec.json.encode({name: value for name, value in members if _fits(name, value)}))


def _fits(name: str, value: msgspec.Raw) -> bool:
    try:
        _decode(msgspec.json.encode({name: value}))
    except msgspec.ValidationError:
        return False
    return True


def finish_reasons(choices: Iterable[Candidate | Choice]) -> str:
    """The distinct finish reasons in their order, joined by `|`."""
    return "|".join(dict.fromkeys(_reason_names(choices)))


def _reason_names(choices: Iterable[Candidate | Choice]) -> Iterator[str]:
    for choice in choices:
        if name := _enum_name(choice.finish_reason, _FINISH_REASONS):
            yield name


def steps(response: ResponseDocument) -> list[Step]:
    """The steps of an interaction in a document, or the one in an event."""
    of_both = (response, response.interaction) if response.interaction else (response,)
    listed = [step for about in of_both for step in (*(about.steps or ()), *(about.outputs or ()))]
    return listed + [step for step in (response.step, response.content) if step is not None]


def images(response: ResponseDocument) -> int | None:
    """The number of images in a document; None if it has no list of images."""
    if response.predictions is not None:
        return sum(
            each.rai_filtered_reason is None and each.content_type != "Positive Prompt"
            for each in response.predictions
        )
    data = response.data
    if data is not None and (not data or data[0].b64_json or data[0].url):
        return len(data)
    return None


def block_reason(feedback: PromptFeedback) -> str | None:
    return _enum_name(feedback.block_reason, _BLOCK_REASONS)


def _enum_name(value: object, names: tuple[str, ...]) -> str | None:
    if type(value) is int:
        return names[value] if 0 <= value < len(names) else str(value)
    return value if isinstance(value, str) else None
