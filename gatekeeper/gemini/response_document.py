"""One JSON document of a response, as far as it is metered: Gemini's own, Interactions' or OpenAI-style.

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
    """What an interaction has done: a search, an answer."""

    type: object = None
    arguments: object = None


class Image(
    msgspec.Struct, rename={"rai_filtered_reason": "raiFilteredReason", "content_type": "contentType"}
):
    """One of Imagen's predictions (withheld ones have a reason, and the prompt may be rated as one more),
    and OpenAI's form of them."""

    rai_filtered_reason: object = None
    content_type: object = None
    b64_json: object = None
    url: object = None


class Metadata(msgspec.Struct):
    """Beside any event of an interaction."""

    total_usage: msgspec.Raw = msgspec.Raw()


class RegisteredFile(msgspec.Struct):
    """One of those that `files:register` answers with."""

    name: object = None


class Interaction(msgspec.Struct):
    """Within the events that begin and end an interaction."""

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
    """`step_usage`, beside the `usage` of an interaction's `step.stop`, is a part of it, and not read."""

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
    # Of an interaction, and of an event of one
    continuation_token: object = None
    # Not seen there yet
    top_continuation_token: object = None
    # Earlier versions of Interactions call steps outputs, and one of them, in an event, its content.
    steps: list[Step] | None = None
    outputs: list[Step] | None = None
    step: Step | None = None
    content: Step | None = None
    # Imagen's pictures; OpenAI's, and its embeddings
    predictions: list[Image] | None = None
    data: list[Image] | None = None

    def other_usage(self) -> bytes:
        """The usage of a document that has no valid `usageMetadata`: an interaction's own, which is its
        total, comes first. Without a valid one anything else that was sent for it; empty if that is
        nothing."""
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
    """A member of another type than Google's counts as missing. Raises ValueError or RecursionError for bytes
    that are no JSON object."""
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
    """Different ones in their order, joined by `|`."""
    return "|".join(dict.fromkeys(_reason_names(choices)))


def _reason_names(choices: Iterable[Candidate | Choice]) -> Iterator[str]:
    for choice in choices:
        if name := _enum_name(choice.finish_reason, _FINISH_REASONS):
            yield name


def steps(response: ResponseDocument) -> list[Step]:
    """The steps of an interaction that a document lists, or the one that an event begins."""
    of_both = (response, response.interaction) if response.interaction else (response,)
    listed = [step for about in of_both for step in (*(about.steps or ()), *(about.outputs or ()))]
    return listed + [step for step in (response.step, response.content) if step is not None]


def pictures(response: ResponseDocument) -> int | None:
    """How many pictures a document lists; None if it is about none."""
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
