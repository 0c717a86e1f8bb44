"""A request's `generationConfig` (https://ai.google.dev/api/generate-content#generationconfig), checked."""

from __future__ import annotations

import json
from dataclasses import dataclass
from random import Random

from gatekeeper.sandbox.errors import invalid
from gatekeeper.sandbox.models import Model
from gatekeeper.sandbox.wire import Json, field, message, repeated, snake, text, whole

MOST_CANDIDATES = 8
DYNAMIC_THOUGHTS = 300
LEVELS = {"minimal": 0, "low": 60, "medium": 200, "high": 500}
TIERS = ("flex", "priority")
ANY_JSON: Json = {"type": "OBJECT", "properties": {"answer": {"type": "STRING"}, "sure": {"type": "BOOLEAN"}}}


@dataclass(frozen=True, slots=True)
class Config:
    """`thinking` is the most tokens to think in, 0 for none; `schema` is what the text must be JSON of, None
    for free text; `choices` what it must be one of, if any; `tier` how the call is billed."""

    candidates: int
    output: int | None
    stops: list[str]
    seed: int | None
    thinking: int
    shows_thoughts: bool
    schema: Json | None
    choices: list[str]
    tier: str

    def most_tokens(self, model: Model) -> int:
        return min(self.output or model.outputs, model.outputs)

    def thoughts(self, model: Model, chance: Random) -> int:
        """Tokens thought: never more than half of the output, so that something is left to say."""
        most = min(self.thinking, self.most_tokens(model) // 2) if model.thinking else 0
        return chance.randint(most // 4, most)


def read(request: Json) -> Config:
    """Raises ApiError (400) for values that Google refuses."""
    wish = message(field(request, "generationConfig"))
    thinking = message(field(wish, "thinkingConfig"))
    candidates, output = number(wish, "candidateCount"), number(wish, "maxOutputTokens")
    if candidates is not None and not 1 <= candidates <= MOST_CANDIDATES:
        raise invalid(f"Only between 1 and {MOST_CANDIDATES} candidates are supported: candidate_count.")
    if output is not None and output < 1:
        raise invalid("max_output_tokens must be positive.")
    tier = text(field(request, "serviceTier")).lower().removeprefix("service_tier_")
    return Config(
        candidates=candidates or 1,
        output=output,
        stops=[stop for stop in map(text, repeated(field(wish, "stopSequences"))) if stop],
        seed=number(wish, "seed"),
        thinking=most_thoughts(thinking),
        shows_thoughts=field(thinking, "includeThoughts") is True,
        schema=schema(wish),
        choices=choices(wish),
        tier=tier if tier in TIERS else "standard",
    )


def number(wish: Json, name: str) -> int | None:
    value = field(wish, name)
    result = whole(value)
    if value is not None and result is None:
        raise invalid(f"Invalid value at 'generation_config.{snake(name)}' (TYPE_INT32), {json.dumps(value)}")
    return result


def most_thoughts(thinking: Json) -> int:
    """By `thinkingBudget` (-1: as the model likes) or `thinkingLevel`."""
    budget = number(thinking, "thinkingBudget")
    if budget is None or budget < 0:
        return LEVELS.get(text(field(thinking, "thinkingLevel")).lower(), DYNAMIC_THOUGHTS)
    return budget


def schema(wish: Json) -> Json | None:
    """Where JSON is asked for without a schema, one of ours."""
    if not text(field(wish, "responseMimeType")).startswith("application/json"):
        return None
    return message(field(wish, "responseSchema") or field(wish, "responseJsonSchema") or ANY_JSON)


def choices(wish: Json) -> list[str]:
    if text(field(wish, "responseMimeType")) != "text/x.enum":
        return []
    return [text(value) for value in repeated(field(message(field(wish, "responseSchema")), "enum"))]
