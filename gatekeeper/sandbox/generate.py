"""generateContent and streamGenerateContent as a pure function from a call to responses with usage.

Invariants of every response, because clients and meters rely on them: `totalTokenCount` is prompt +
candidates + thoughts + tool use; counts of zero are omitted; in a stream each chunk has the usage so far, the
last one the total; thoughts and text together stay within `maxOutputTokens`, per candidate.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from random import Random

from gatekeeper.sandbox.errors import Command
from gatekeeper.sandbox.generation_config import Config
from gatekeeper.sandbox.google_json import (
    HARM_CATEGORIES,
    Json,
    one_line,
)
from gatekeeper.sandbox.long_decode import Hop
from gatekeeper.sandbox.model_output import (
    long_story,
    media_part,
    plausible_text,
    seeded_random,
    thought,
    until_stop,
)
from gatekeeper.sandbox.models import Model
from gatekeeper.sandbox.token_counts import (
    CHARACTERS_PER_TOKEN,
    TokenCounts,
    character_tokens,
    json_tokens,
    token_details,
)
from gatekeeper.sandbox.tools import SchemaValueGenerator, choose_function_call, grounding

WORDS_PER_CHUNK = (3, 8)


@dataclass(frozen=True, slots=True)
class Call:
    """`prompt_text` is the user's last text; `prompt` counts the whole prompt, cached tokens included."""

    model: Model
    request: Json
    config: Config
    prompt_text: str
    prompt: TokenCounts
    cached: TokenCounts
    response_id: str
    command: Command | None
    hop: Hop

    @property
    def modality(self) -> str:
        """The modality of the output: the model's own, or text if that was requested instead."""
        return "TEXT" if self.config.modalities == ["TEXT"] else self.model.modality


@dataclass(frozen=True, slots=True)
class Delta:
    """One chunk of a candidate; `tokens` is the total of the candidate up to here."""

    parts: list[Json]
    tokens: int


@dataclass(frozen=True, slots=True)
class Candidate:
    """One candidate; its last chunk has the `extra_fields`."""

    deltas: list[Delta]
    finish: str
    extra_fields: Json

    def document(self, index: int, at: int) -> Json:
        """Its part of the chunk `at` of a stream."""
        parts = self.deltas[at].parts
        content: Json = {"parts": parts, "role": "model"} if parts else {}
        last = at == len(self.deltas) - 1
        end: Json = {"finishReason": self.finish} if last else {}
        return {"content": content, **end, "index": index, **(self.extra_fields if last else {})}

    def unary(self) -> Candidate:
        parts = joined([part for delta in self.deltas for part in delta.parts])
        return replace(self, deltas=[Delta(parts, self.deltas[-1].tokens)])


@dataclass(frozen=True, slots=True)
class GenerateResponse:
    """All candidates of a call. Without candidates the prompt was blocked."""

    call: Call
    candidates: Sequence[Candidate]
    thoughts: int
    tool_use: int

    def unary(self) -> Json:
        return replace(self, candidates=[candidate.unary() for candidate in self.candidates]).chunks()[0]

    def chunks(self) -> list[Json]:
        """The chunks of a stream, in order."""
        return [self.chunk(at) for at in range(self.length)]

    @property
    def length(self) -> int:
        """Number of chunks in a stream."""
        return max((len(candidate.deltas) for candidate in self.candidates), default=1)

    def chunk(self, at: int) -> Json:
        unfinished = [(index, item) for index, item in enumerate(self.candidates) if at < len(item.deltas)]
        # A candidate that has ended keeps its count: the usage is that of all so far.
        output_tokens = sum(item.deltas[min(at, len(item.deltas) - 1)].tokens for item in self.candidates)
        document: Json = {"candidates": [item.document(index, at) for index, item in unfinished]}
        return {
            **(document if unfinished else {"promptFeedback": {"blockReason": "PROHIBITED_CONTENT"}}),
            "usageMetadata": self.usage(output_tokens),
            "modelVersion": self.call.model.id,
            "responseId": self.call.response_id,
        }

    def usage(self, output_tokens: int) -> Json:
        """`output_tokens`: of all candidates. Only models without thinking report them by modality."""
        prompt, cached = self.call.prompt, self.call.cached
        by_modality = TokenCounts({self.call.modality: output_tokens})
        if self.call.model.thinking:
            by_modality = TokenCounts()
        counts: Json = {
            "promptTokenCount": prompt.total(),
            "candidatesTokenCount": output_tokens,
            "totalTokenCount": prompt.total() + output_tokens + self.thoughts + self.tool_use,
            "cachedContentTokenCount": cached.total(),
            "promptTokensDetails": token_details(prompt),
            "cacheTokensDetails": token_details(cached),
            "candidatesTokensDetails": token_details(by_modality),
            "toolUsePromptTokenCount": self.tool_use,
            "toolUsePromptTokensDetails": token_details(TokenCounts(TEXT=self.tool_use)),
            "thoughtsTokenCount": self.thoughts,
            "serviceTier": self.call.config.tier,
        }
        return {name: value for name, value in counts.items() if value}


def respond(call: Call) -> GenerateResponse:
    if call.command is Command.BLOCKED:
        return GenerateResponse(call, [], 0, 0)
    if call.command is Command.SAFETY:
        return GenerateResponse(call, [safety_blocked_candidate()], 0, 0)
    thoughts = call.config.thoughts(call.model, seeded_random(call.prompt_text, "thoughts"))
    extra_fields, tool_use = grounding(call.request, call.prompt_text)
    # The thoughts reduce the limit of each candidate.
    max_tokens = call.config.output_limit(call.model) - thoughts
    candidates = [
        generate_candidate(call, index, max_tokens, thoughts) for index in range(call.config.candidates)
    ]
    candidates = [replace(item, extra_fields=item.extra_fields | extra_fields) for item in candidates]
    return GenerateResponse(call, candidates, thoughts, tool_use)


def generate_candidate(call: Call, index: int, max_tokens: int, thoughts: int) -> Candidate:
    """The candidate `index`, at most `max_tokens` long."""
    # A later request of a long decode continues with other words.
    hop = (call.hop.number,) if call.hop.number > 1 else ()
    rng = seeded_random(call.prompt_text, call.config.seed, index, *hop)
    thinking = [Delta([{"text": thought(call.prompt_text, rng), "thought": True}], 0)]
    before = thinking if thoughts and call.config.include_thoughts else []
    if call.modality != "TEXT":
        part, tokens = media_part(call.modality, call.prompt_text)
        return Candidate([Delta([part], tokens)], "STOP", {})
    function = choose_function_call(call.request, call.prompt_text, rng, thinking=call.model.thinking)
    if function is not None:
        return function_call_candidate(function, before, max_tokens)
    full_text = until_stop(text_for(call, rng), call.config.stop_sequences)
    # The text that fits into the tokens, by the rule of `token_counts`.
    truncated = full_text[: max_tokens * CHARACTERS_PER_TOKEN]
    written = before + deltas(truncated, rng)
    if truncated == full_text and not call.hop.is_last:
        return Candidate(written, "CONTINUATION", call.hop.end(written[-1].tokens + thoughts))
    return Candidate(written, "STOP" if truncated == full_text else "MAX_TOKENS", {})


def function_call_candidate(function: Json, before: list[Delta], max_tokens: int) -> Candidate:
    """A candidate with a function call; without it if it exceeds `max_tokens`, because half a call would be
    useless."""
    tokens = json_tokens(function["functionCall"])
    if tokens > max_tokens:
        return Candidate([*before, Delta([], 0)], "MAX_TOKENS", {})
    note: Json = {"finishMessage": "Model generated function call(s)."}
    return Candidate([*before, Delta([function], tokens)], "STOP", note)


def safety_blocked_candidate() -> Candidate:
    ratings: list[Json] = [{"category": name, "probability": "NEGLIGIBLE"} for name in HARM_CATEGORIES]
    # One category is enough to block a response.
    ratings[-1] |= {"probability": "HIGH", "blocked": True}
    return Candidate([Delta([], 0)], "SAFETY", {"safetyRatings": ratings})


def text_for(call: Call, rng: Random) -> str:
    if call.config.schema is not None:
        return one_line(SchemaValueGenerator(call.config.schema, rng).value(call.config.schema)).decode()
    if call.config.choices:
        return rng.choice(call.config.choices)
    write = long_story if call.command is Command.LONG else plausible_text
    return write(call.prompt_text, rng)


def deltas(full_text: str, rng: Random) -> list[Delta]:
    """Splits `full_text` into chunks of a few words; one empty delta for an empty text."""
    # Leading spaces are not part of a word, so they get a piece of their own.
    words = re.findall(r"\S+\s*|^\s+", full_text)
    result: list[Delta] = []
    length = at = 0
    while at < len(words):
        some = "".join(words[at : (at := at + rng.randint(*WORDS_PER_CHUNK))])
        length += len(some)
        result.append(Delta([{"text": some}], character_tokens(length)))
    return result or [Delta([], 0)]


def joined(parts: list[Json]) -> list[Json]:
    """Merges consecutive texts; thoughts and output stay separate."""
    result: list[Json] = []
    # By the fields that a part has: a thought has one more than a text.
    for names, group in groupby(parts, set):
        some = list(group)
        together: Json = some[0] | {"text": "".join(str(part.get("text")) for part in some)}
        # Parts without text, such as function calls, cannot be merged.
        result += [together] if "text" in names else some
    return result
