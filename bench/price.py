"""What the cost of a call takes: reading the usage that the response reported, and its quote, as at the end
of each call. Microseconds of one core for each shape of usage. A Live session is added up along the way: its
figure is one turn more and the quote of the whole session.

Rounds of many calls; the quickest round counts, for whatever else runs on the machine only adds to it.
"""

import argparse
import json
import time
from datetime import UTC, datetime

from gatekeeper.gemini.live import TurnUsages
from gatekeeper.gemini.usage import read_usage
from gatekeeper.pricing.catalogue import Catalogue
from gatekeeper.pricing.quote import quote
from gatekeeper.startup import BUILT_IN_PRICES

AT = datetime(2026, 11, 24, 12, tzinfo=UTC)


def details(**counts: int) -> list[dict[str, object]]:
    return [{"modality": name.upper(), "tokenCount": count} for name, count in counts.items()]


PLAIN = {
    "promptTokenCount": 1042,
    "candidatesTokenCount": 318,
    "totalTokenCount": 1360,
    "promptTokensDetails": details(text=1042),
}
CACHED = {
    "promptTokenCount": 5120,
    "cachedContentTokenCount": 4096,
    "candidatesTokenCount": 210,
    "thoughtsTokenCount": 90,
    "totalTokenCount": 5420,
    "promptTokensDetails": details(text=5120),
    "cacheTokensDetails": details(text=4096),
    "serviceTier": "standard",
}
ALL = {
    "promptTokenCount": 9000,
    "cachedContentTokenCount": 4000,
    "candidatesTokenCount": 700,
    "thoughtsTokenCount": 300,
    "toolUsePromptTokenCount": 1000,
    "totalTokenCount": 11000,
    "promptTokensDetails": details(text=5000, image=1000, video=1000, audio=2000),
    "cacheTokensDetails": details(text=3000, audio=1000),
    "candidatesTokensDetails": details(text=700),
    "toolUsePromptTokensDetails": details(text=1000),
    "serviceTier": "flex",
}
TURN = {
    "promptTokenCount": 300,
    "responseTokenCount": 150,
    "totalTokenCount": 450,
    "promptTokensDetails": details(text=100, audio=200),
    "responseTokensDetails": details(audio=150),
}
INTERACTION = {
    "total_input_tokens": 1000,
    "total_output_tokens": 200,
    "total_thought_tokens": 100,
    "total_tokens": 1300,
    "input_tokens_by_modality": [{"modality": "text", "tokens": 1000}],
}
OPENAI = {"prompt_tokens": 1000, "completion_tokens": 200, "total_tokens": 1300}
EMBEDDING = {"promptTokenCount": 1000, "promptTokenDetails": details(text=1000)}

LIVE = "a turn of a Live session"
# Name: the usage, the model, the action, and what is billed beside tokens
SHAPES = {
    "text": (PLAIN, "gemini-3.8-flash", "generateContent", {}),
    "cached, with thoughts": (CACHED, "gemini-2.5-flash", "generateContent", {}),
    "of every kind, in flex": (ALL, "gemini-2.5-flash", "streamGenerateContent", {}),
    "long context": ({**PLAIN, "promptTokenCount": 250_000}, "gemini-3.1-pro-preview", "generateContent", {}),
    "an alias": (PLAIN, "gemini-flash-latest", "generateContent", {}),
    "searches": (PLAIN, "gemini-3.8-flash", "generateContent", {"grounding_search_query": 2}),
    LIVE: (TURN, "gemini-3.8-live", "live", {}),
    "an interaction": (INTERACTION, "gemini-3.8-flash", "interactions", {}),
    "OpenAI-style": (OPENAI, "gemini-3.8-flash", "openai.chat.completions", {}),
    "an embedding": (EMBEDDING, "gemini-embedding-2", "embedContent", {}),
}


def microseconds(catalogue: Catalogue, shape: str, calls: int) -> float:
    """Of one call of that shape, in one round."""
    used, model, action, units = SHAPES[shape]
    raw = json.dumps(used).encode()
    turns = TurnUsages()
    turns.add(raw)
    began = time.perf_counter()
    for _ in range(calls):
        priced = quote(
            catalogue,
            model=model,
            model_version=model,
            usage=turns.plus(raw) if shape == LIVE else read_usage(raw),
            at=AT,
            action=action,
            billed_units=units,
        )
    took = time.perf_counter() - began
    assert priced.cost_pico is not None, (shape, priced.notes)
    return took / calls * 1e6


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--calls", type=int, default=500, help="in a round")
    parser.add_argument("--rounds", type=int, default=80)
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    prices = Catalogue.parse(BUILT_IN_PRICES.read_text("utf-8"))
    # The shapes take turns, so that a busy moment does not fall on one of them.
    rounds = [
        {shape: microseconds(prices, shape, given.calls) for shape in SHAPES} for _ in range(given.rounds)
    ]
    found = {shape: round(min(each[shape] for each in rounds), 1) for shape in SHAPES}
    print(json.dumps(found) if given.json else "\n".join(f"{n:28}{v:>6} µs" for n, v in found.items()))
