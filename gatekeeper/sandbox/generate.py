"""generateContent and streamGenerateContent as a pure function: a call in, responses with usage out. Its
`generationConfig` (https://ai.google.dev/api/generate-content#generationconfig) is checked here too.

What holds for every answer, because clients and meters rely on it: `totalTokenCount` is prompt + candidates
+ thoughts + tool use; counts that are zero are left out; in a stream each response carries the usage so far,
the last one that of the whole; thoughts and text together stay within `maxOutputTokens`, per candidate.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from random import Random

from gatekeeper.sandbox.errors import Command, invalid
from gatekeeper.sandbox.models import CHARACTERS_PER_TOKEN, Model, Tally, details, of_characters, of_json
from gatekeeper.sandbox.texts import dice, long_story, thought, written
from gatekeeper.sandbox.tools import Filler, called, grounding
from gatekeeper.sandbox.wire import CATEGORY, Json, field, message, one_line, repeated, snake, text, whole

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


def read_config(request: Json) -> Config:
    """Raises ApiError (400) for values that Google refuses."""
    wish = message(field(request, "generationConfig"))
    thinking = message(field(wish, "thinkingConfig"))
    candidates, output = number(wish, "candidateCount"), number(wish, "maxOutputTokens")
    if candidates is not None and not 1 <= candidates <= MOST_CANDIDATES:
        raise invalid(f"Only between 1 and {MOST_CANDIDATES} candidates are supported: candidate_count.")
    if output is not None and output < 1:
        raise invalid("max_output_tokens must be positive.")
    # `flex`, or the enum's name for it, `SERVICE_TIER_FLEX`.
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


WORDS_AT_ONCE = (3, 8)


@dataclass(frozen=True, slots=True)
class Call:
    """`ask` is the user's last text, `prompt` counts what is cached as well."""

    model: Model
    request: Json
    config: Config
    ask: str
    prompt: Tally
    cached: Tally
    response_id: str
    order: Command | None


@dataclass(frozen=True, slots=True)
class Delta:
    """What a stream says at once; `tokens` of its candidate up to here."""

    parts: list[Json]
    tokens: int


@dataclass(frozen=True, slots=True)
class Reply:
    """One candidate; `carried` comes with its end."""

    deltas: list[Delta]
    finish: str
    carried: Json

    def candidate(self, index: int, at: int) -> Json:
        """Its part of the response number `at` of a stream."""
        parts = self.deltas[at].parts
        content: Json = {"parts": parts, "role": "model"} if parts else {}
        last = at == len(self.deltas) - 1
        end: Json = {"finishReason": self.finish} if last else {}
        return {"content": content, **end, "index": index, **(self.carried if last else {})}

    def at_once(self) -> Reply:
        parts = joined([part for delta in self.deltas for part in delta.parts])
        return replace(self, deltas=[Delta(parts, self.deltas[-1].tokens)])


@dataclass(frozen=True, slots=True)
class Response:
    """All candidates of a call. No candidates: the prompt was refused."""

    call: Call
    replies: Sequence[Reply]
    thoughts: int
    tool_use: int

    def at_once(self) -> Json:
        return replace(self, replies=[reply.at_once() for reply in self.replies]).chunks()[0]

    def chunks(self) -> list[Json]:
        """One response after the other, as a stream sends them."""
        return [self.chunk(at) for at in range(self.length)]

    @property
    def length(self) -> int:
        """How many chunks a stream of it has."""
        return max((len(reply.deltas) for reply in self.replies), default=1)

    def chunk(self, at: int) -> Json:
        going = [(index, reply) for index, reply in enumerate(self.replies) if at < len(reply.deltas)]
        said = sum(reply.deltas[min(at, len(reply.deltas) - 1)].tokens for reply in self.replies)
        candidates: Json = {"candidates": [reply.candidate(index, at) for index, reply in going]}
        return {
            **(candidates if going else {"promptFeedback": {"blockReason": "PROHIBITED_CONTENT"}}),
            "usageMetadata": self.usage(said),
            "modelVersion": self.call.model.id,
            "responseId": self.call.response_id,
        }

    def usage(self, said: int) -> Json:
        """With `said` tokens of all candidates. Only models that do not think report them by modality."""
        prompt, cached = self.call.prompt, self.call.cached
        spoken = Tally() if self.call.model.thinking else Tally(TEXT=said)
        counts: Json = {
            "promptTokenCount": prompt.total(),
            "candidatesTokenCount": said,
            "totalTokenCount": prompt.total() + said + self.thoughts + self.tool_use,
            "cachedContentTokenCount": cached.total(),
            "promptTokensDetails": details(prompt),
            "cacheTokensDetails": details(cached),
            "candidatesTokensDetails": details(spoken),
            "toolUsePromptTokenCount": self.tool_use,
            "toolUsePromptTokensDetails": details(Tally(TEXT=self.tool_use)),
            "thoughtsTokenCount": self.thoughts,
            "serviceTier": self.call.config.tier,
        }
        return {name: value for name, value in counts.items() if value}


def respond(call: Call) -> Response:
    if call.order is Command.BLOCKED:
        return Response(call, [], 0, 0)
    if call.order is Command.SAFETY:
        return Response(call, [withheld()], 0, 0)
    thoughts = call.config.thoughts(call.model, dice(call.ask, "thoughts"))
    carried, tool_use = grounding(call.request, call.ask)
    # Each candidate has the room that the thoughts have left.
    room = call.config.most_tokens(call.model) - thoughts
    replies = [reply(call, index, room, thoughts) for index in range(call.config.candidates)]
    return Response(
        call, [replace(item, carried=item.carried | carried) for item in replies], thoughts, tool_use
    )


def reply(call: Call, index: int, room: int, thoughts: int) -> Reply:
    """The candidate `index` in at most `room` tokens."""
    chance = dice(call.ask, call.config.seed, index)
    thinking = [Delta([{"text": thought(call.ask, chance), "thought": True}], 0)]
    before = thinking if thoughts and call.config.shows_thoughts else []
    function = called(call.request, call.ask, chance, thinking=call.model.thinking)
    if function is not None:
        return calling(function, before, room)
    said = until_stop(text_for(call, chance), call.config.stops)
    short = said[: room * CHARACTERS_PER_TOKEN]
    finish = "STOP" if short == said else "MAX_TOKENS"
    return Reply(before + deltas(short, chance), finish, {})


def calling(function: Json, before: list[Delta], room: int) -> Reply:
    """A call that does not fit is not made at all: half a call is of no use."""
    tokens = of_json(function["functionCall"])
    if tokens > room:
        return Reply([*before, Delta([], 0)], "MAX_TOKENS", {})
    note: Json = {"finishMessage": "Model generated function call(s)."}
    return Reply([*before, Delta([function], tokens)], "STOP", note)


def withheld() -> Reply:
    ratings: list[Json] = [{"category": name, "probability": "NEGLIGIBLE"} for name in CATEGORY]
    # One category is enough to withhold an answer.
    ratings[-1] |= {"probability": "HIGH", "blocked": True}
    return Reply([Delta([], 0)], "SAFETY", {"safetyRatings": ratings})


def text_for(call: Call, chance: Random) -> str:
    if call.config.schema is not None:
        return one_line(Filler(call.config.schema, chance).value(call.config.schema)).decode()
    if call.config.choices:
        return chance.choice(call.config.choices)
    return long_story(call.ask, chance) if call.order is Command.LONG else written(call.ask, chance)


def until_stop(said: str, stops: Sequence[str]) -> str:
    """Up to the first of the stop sequences, which is itself left out."""
    found = [said.find(stop) for stop in stops if stop in said]
    return said[: min(found)] if found else said


def deltas(said: str, chance: Random) -> list[Delta]:
    """`said` a few words at a time, which together are exactly it; one empty delta for nothing."""
    # Blanks at the beginning belong to no word: they are a piece of their own, or they would be lost.
    words = re.findall(r"\S+\s*|^\s+", said)
    result: list[Delta] = []
    length = at = 0
    while at < len(words):
        some = "".join(words[at : (at := at + chance.randint(*WORDS_AT_ONCE))])
        length += len(some)
        result.append(Delta([{"text": some}], of_characters(length)))
    return result or [Delta([], 0)]


def joined(parts: list[Json]) -> list[Json]:
    """Texts that follow each other made one; thoughts and speech kept apart."""
    result: list[Json] = []
    for names, group in groupby(parts, set):
        some = list(group)
        together: Json = some[0] | {"text": "".join(str(part.get("text")) for part in some)}
        # What has no text, as a function call, cannot be joined.
        result += [together] if "text" in names else some
    return result
