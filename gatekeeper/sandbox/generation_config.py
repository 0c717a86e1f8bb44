"""Parses `generationConfig` (https://ai.google.dev/api/generate-content#generationconfig)."""

from __future__ import annotations

import json
from dataclasses import dataclass
from random import Random

from gatekeeper.sandbox.errors import invalid
from gatekeeper.sandbox.google_json import Json, field, message, parse_int, repeated, snake, text
from gatekeeper.sandbox.models import Model

MAX_CANDIDATES = 8
DEFAULT_THINKING_TOKENS = 300
THINKING_LEVEL_TOKENS = {"minimal": 0, "low": 60, "medium": 200, "high": 500}
TIERS = ("flex", "priority")
ANY_JSON: Json = {"type": "OBJECT", "properties": {"answer": {"type": "STRING"}, "sure": {"type": "BOOLEAN"}}}


@dataclass(frozen=True, slots=True)
class Config:
    """`thinking_budget` is the limit of thought tokens, 0 for none; `schema` is that of a JSON response, None
    for free text; `choices` are the allowed texts (enum), if restricted; `tier` is the service tier;
    `modalities` are the requested ones, empty for the model's own."""

    candidates: int
    max_output_tokens: int | None
    stop_sequences: list[str]
    seed: int | None
    thinking_budget: int
    include_thoughts: bool
    schema: Json | None
    choices: list[str]
    tier: str
    modalities: list[str]

    def output_limit(self, model: Model) -> int:
        return min(self.max_output_tokens or model.output_token_limit, model.output_token_limit)

    def thoughts(self, model: Model, rng: Random) -> int:
        """Number of thought tokens: at most half of the output, so that some remains for the text."""
        most = min(self.thinking_budget, self.output_limit(model) // 2) if model.thinking else 0
        # Seeded with the prompt: the same call has the same usage each time.
        return rng.randint(most // 4, most)


def read_config(request: Json) -> Config:
    """Parses the config. Raises GoogleError (400) for values that Google rejects."""
    config = message(field(request, "generationConfig"))
    thinking = message(field(config, "thinkingConfig"))
    candidates, output = number(config, "candidateCount"), number(config, "maxOutputTokens")
    if candidates is not None and not 1 <= candidates <= MAX_CANDIDATES:
        raise invalid(f"Only between 1 and {MAX_CANDIDATES} candidates are supported: candidate_count.")
    if output is not None and output < 1:
        raise invalid("max_output_tokens must be positive.")
    # `flex`, or the name in the enum, `SERVICE_TIER_FLEX`.
    tier = text(field(request, "serviceTier")).lower().removeprefix("service_tier_")
    return Config(
        candidates=candidates or 1,
        max_output_tokens=output,
        stop_sequences=[stop for stop in map(text, repeated(field(config, "stopSequences"))) if stop],
        seed=number(config, "seed"),
        thinking_budget=max_thinking_tokens(thinking),
        include_thoughts=field(thinking, "includeThoughts") is True,
        schema=schema(config),
        choices=choices(config),
        tier=tier if tier in TIERS else "standard",
        modalities=[text(item).upper() for item in repeated(field(config, "responseModalities"))],
    )


def number(config: Json, name: str) -> int | None:
    value = field(config, name)
    result = parse_int(value)
    if value is not None and result is None:
        raise invalid(f"Invalid value at 'generation_config.{snake(name)}' (TYPE_INT32), {json.dumps(value)}")
    return result


def max_thinking_tokens(thinking: Json) -> int:
    """From `thinkingBudget` (-1: the model decides) or `thinkingLevel`."""
    budget = number(thinking, "thinkingBudget")
    if budget is None or budget < 0:
        level = text(field(thinking, "thinkingLevel")).lower()
        return THINKING_LEVEL_TOKENS.get(level, DEFAULT_THINKING_TOKENS)
    return budget


def schema(config: Json) -> Json | None:
    """The schema of a JSON text; `ANY_JSON` if JSON is requested without one; None for other texts."""
    if not text(field(config, "responseMimeType")).startswith("application/json"):
        return None
    return message(field(config, "responseSchema") or field(config, "responseJsonSchema") or ANY_JSON)


def choices(config: Json) -> list[str]:
    if text(field(config, "responseMimeType")) != "text/x.enum":
        return []
    return [text(value) for value in repeated(field(message(field(config, "responseSchema")), "enum"))]
