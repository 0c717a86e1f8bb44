"""The wire formats of usage objects, with typed members. Decoding an invalid object raises
`msgspec.ValidationError`; it is then decoded again without its invalid values (`usage_faults`)."""

from __future__ import annotations

from typing import Annotated

import msgspec

from gatekeeper.gemini.json_values import MAX_TOKEN_COUNT

Count = Annotated[int, msgspec.Meta(ge=0, le=MAX_TOKEN_COUNT)]


class Detail(msgspec.Struct, rename={"tokens": "tokenCount"}):
    modality: str | int | None = None
    tokens: Count | None = None


class ModalityTokens(msgspec.Struct):
    """The tokens of one modality in the format of Interactions."""

    modality: str | int | None = None
    tokens: Count | None = None


class UsageMetadata(msgspec.Struct, rename="camel"):
    """`usageMetadata` of generateContent, embeddings, caches and Live."""

    prompt_token_count: Count | None = None
    cached_content_token_count: Count | None = None
    candidates_token_count: Count | None = None
    thoughts_token_count: Count | None = None
    tool_use_prompt_token_count: Count | None = None
    total_token_count: Count | None = None
    service_tier: str | int | None = None
    prompt_tokens_details: list[Detail] | None = None
    # The name in responses of gemini-embedding-2
    prompt_token_details: list[Detail] | None = None
    cache_tokens_details: list[Detail] | None = None
    candidates_tokens_details: list[Detail] | None = None
    tool_use_prompt_tokens_details: list[Detail] | None = None
    # The names for candidates in Live
    response_token_count: Count | None = None
    response_tokens_details: list[Detail] | None = None


class CachedTokens(msgspec.Struct):
    cached_tokens: Count | None = None


class ReasoningTokens(msgspec.Struct):
    reasoning_tokens: Count | None = None


class OtherUsage(msgspec.Struct):
    """`usage` of Interactions and of OpenAI-style responses. Both have `total_tokens`."""

    total_input_tokens: Count | None = None
    total_cached_tokens: Count | None = None
    total_output_tokens: Count | None = None
    total_thought_tokens: Count | None = None
    total_tool_use_tokens: Count | None = None
    total_tokens: Count | None = None
    input_tokens_by_modality: list[ModalityTokens] | None = None
    cached_tokens_by_modality: list[ModalityTokens] | None = None
    output_tokens_by_modality: list[ModalityTokens] | None = None
    tool_use_tokens_by_modality: list[ModalityTokens] | None = None
    grounding_tool_count: object = None
    # Undocumented; observed with a far smaller `total_input_tokens` if `previous_interaction_id` was given,
    # and after a search, whose results are not charged
    raw_prompt_token: Count | None = None
    prompt_tokens: Count | None = None
    completion_tokens: Count | None = None
    prompt_tokens_details: CachedTokens | None = None
    completion_tokens_details: ReasoningTokens | None = None


decode_usage_metadata = msgspec.json.Decoder(UsageMetadata).decode
decode_other_usage = msgspec.json.Decoder(OtherUsage).decode
decode_members = msgspec.json.Decoder(dict[str, object]).decode
decode_turns = msgspec.json.Decoder(list[UsageMetadata]).decode
split_turns = msgspec.json.Decoder(list[msgspec.Raw]).decode
