"""What genai-prices 0.2.3 does otherwise. The order is that in which the rules are put together."""

from __future__ import annotations

from pricing.oracles.grid import TODAY
from pricing.oracles.reasons import (
    CACHED_AS_INPUT,
    FREE,
    WITHOUT_OUTPUT,
    WITHOUT_PROMPT_DETAILS,
    WITHOUT_TOTAL,
    Reason,
    as_model,
    by_tool_use_too,
    in_tier,
    moved,
    on_day,
    priced,
    without_searches,
)

DATA = "genai_prices/data.py of the package"
PAGE = "Google's pricing page"
FULL_PRICE_BATCHES = (
    "gemini-1.*",
    "gemini-2.0-*",
    "gemini-2.5-flash-image*",
    "gemini-2.5-flash-preview*",
    "gemini-3-pro-preview",
    "gemini-3-pro-text-preview",
    "gemini-3.5-flash",
    "gemini-3.5-flash-preview",
    "gemini-3.7-flash",
    "gemini-embedding-001",
    "gemini-omni-*",
    "gemini-robotics-*",
    "gemma-*",
    "gemini-flash-1.5*",
    "gemini-pro-1.5",
    "gemini-2.5-flash-lite-preview-tts",
)
# Ids of other services or of nobody, and ids that a rule for another model takes in.
TAKEN_FOR = {
    "gemini-1.5-flash": ("gemini-1.5-flash-8b*", "gemini-flash-1.5"),
    "gemini-1.5-flash-8b": ("gemini-flash-1.5-8b",),
    "gemini-1.5-pro": ("gemini-pro-1.5", "gemini-1.5-pro-exp-*"),
    "gemini-2.0-flash": ("gemini-2.0-flash-exp*", "gemini-2.0-flash-thinking-exp-*"),
    "gemini-2.5-flash": ("gemini-2.5-flash-latest", "gemini-2.5-flash-preview-09-2025"),
    "gemini-2.5-flash-lite": ("gemini-2.5-flash-lite-preview*",),
    "gemini-2.5-flash-preview-tts": ("gemini-2.5-flash-tts", "gemini-2.5-flash-lite-preview-tts"),
    "gemini-2.5-flash-native-audio-latest": ("gemini-2.5-flash-native-audio-preview",),
    "gemini-2.5-pro": ("gemini-2.5-pro-exp-*", "gemini-2.5-pro-foo", "gemini-2.5-pro-preview-0*"),
    "gemini-2.5-pro-preview-tts": ("gemini-2.5-pro-tts",),
    "gemini-3-pro-preview": ("gemini-3-pro-text-preview",),
    "gemini-3.5-flash": ("gemini-3.5-flash-preview",),
    "gemini-3.8-flash": ("gemini-3.8-flash-lite",),
    "gemini-4-argon": ("gemini-4-argon-preview",),
}
LATEST = {
    "gemini-3.8-flash": "gemini-flash-latest",
    "gemini-3.5-flash-lite": "gemini-flash-lite-latest",
    "gemini-3.1-pro-preview": "gemini-pro-latest",
}
NO_CACHED_PRICE = (
    "gemini-1.5-pro*",
    "gemini-pro-1.5",
    "gemini-2.0-flash-lite*",
    "*-tts*",
    "gemini-2.5-flash-image*",
)

GENAI_PRICES = (
    Reason(
        rule="The table does not have the model",
        answer="unknown",
        right="we",
        why="Google charges for it, or gives it away, and old calls must still be priced. Gemini 4 Carbon, "
        "Hydrogen and Neon came after this release.",
        source=f"{DATA}; {PAGE} of the time",
    ),
    Reason(
        rule="Cached sound without details raises ValueError",
        answer="ValueError",
        cases=("cached audio, no details",),
        right="we",
        why="All of the prompt is sound, so what was cached is sound too.",
        source="genai_prices/decompose.py of the package",
    ),
    *(
        Reason(
            rule="An id is taken for another model, by a part of its name",
            change=as_model(model),
            models=ids,
            right="we",
            why="No likeness counts: 1.5 Flash-8B cost half of 1.5 Flash, experimental models were free, "
            "previews kept their prices, and an id that Google does not offer has none.",
            source=f"{DATA}, `contains` and `starts_with`; {PAGE} of the time",
        )
        for model, ids in TAKEN_FOR.items()
    ),
    *(
        Reason(
            rule="An alias is today's model on every day",
            change=as_model(model),
            models=(alias,),
            until=TODAY,
            right="we",
            why="An alias without modelVersion is the model for which it stood on the day of the call.",
            source=f"{DATA}; Google's release notes",
        )
        for model, alias in LATEST.items()
    ),
    Reason(
        rule="There is no history: a call of the past is priced as one of today",
        change=on_day(TODAY),
        models=("gemini-1.*", "gemini-2.5-*", "gemini-flash-1.5", "gemini-pro-1.5"),
        until="2025-10-15",
        right="we",
        why="1.5 Flash was cut on 2024-08-12, 1.5 Pro on 2024-10-01; cached tokens of 2.5 went from 25 % "
        "to 10 % of the price in October 2025.",
        source=f"{DATA} has one price; {PAGE} of the time",
    ),
    Reason(
        rule="3.6 Flash has had its introductory price since launch",
        change=on_day(TODAY),
        models=("gemini-3.6-flash",),
        until="2026-08-13",
        right="we",
        why="The page said $1.50 and $7.50 until 2026-08-13.",
        source=f"{DATA}; {PAGE}, copy of 2026-08-08; its own first entry of 2026-07-22",
    ),
    Reason(
        rule="Batches before 2026-10-14 are billed as standard",
        change=in_tier("standard"),
        tiers=("batch",),
        until="2026-10-14",
        right="we",
        why="Batches cost half since July 2025.",
        source=f"{DATA}: StartDateConstraint(2026-10-14), the day on which it was added; {PAGE}",
    ),
    Reason(
        rule="Batches of a model whose batch price is not in the table are billed as standard",
        change=in_tier("standard"),
        models=FULL_PRICE_BATCHES,
        tiers=("batch",),
        since="2026-10-14",
        right="we",
        why="Batches cost half, or null where the model has none.",
        source=f"{DATA}; {PAGE}",
    ),
    Reason(
        rule="Flex and priority are billed as standard",
        change=in_tier("standard"),
        tiers=("flex", "priority"),
        right="we",
        why="Flex costs half, priority 1.8 times as much; null where the model has none.",
        source=f"{DATA} has them for 3.8 TTS only, from 2026-10-15 on; {PAGE}",
    ),
    Reason(
        rule="Searches are not read from the response",
        change=without_searches,
        cases=("searches", "a search on Maps"),
        right="we",
        why="Google bills them beside the tokens; the caller is to count them, by the right rule for each "
        "model, and for Maps there is no price at all.",
        source="the package's UsageExtractor; Google's pricing page, \"Grounding\"",
    ),
    Reason(
        rule="The total is not looked at: thoughts that the counts leave out are lost, those in the "
        "candidates count twice",
        change=WITHOUT_TOTAL,
        cases=("thoughts left out", "thoughts in candidates"),
        right="we",
        why="Version v1 and the OpenAI-style API leave thoughts out of every count but the total; other "
        "answers have them in the candidates.",
        source="the package's UsageExtractor; recorded answers; the billing FAQ",
    ),
    Reason(
        rule="Tool-use tokens count towards the context of 200,000 tokens",
        change=by_tool_use_too,
        cases=("beyond 200,000 by tool use",),
        right="open",
        why='The page says "prompts <= 200k tokens", and promptTokenCount is the prompt; Google does not '
        "name the tokens that tools bring in. Both tables count them.",
        source="the package's UsageExtractor: toolUsePromptTokenCount is added to input_tokens",
    ),
    Reason(
        rule="The output of a Live turn is free",
        change=WITHOUT_OUTPUT,
        kinds=("live",),
        right="we",
        why="Live writes responseTokenCount, which is not read.",
        source=f"the package's UsageExtractor; {PAGE}, Live API",
    ),
    Reason(
        rule="Pictures from a model without a price of them cost as much as text",
        change=moved("output_image>output_text"),
        models=("gemini-2.0-flash-exp-image-generation",),
        right="we",
        why="The model was free.",
        source=f"{DATA}; {PAGE} of 2025",
    ),
    Reason(
        rule="What an embedding was made of is not read",
        change=WITHOUT_PROMPT_DETAILS,
        kinds=("embedding",),
        cases=("of all kinds",),
        right="we",
        why="gemini-embedding-2 writes promptTokenDetails, without the s, and each kind has its price.",
        source=f"the package's UsageExtractor; {PAGE}, Gemini Embedding 2",
    ),
    Reason(
        rule="Cached tokens without a price in the table cost as much as input",
        change=CACHED_AS_INPUT,
        models=NO_CACHED_PRICE,
        right="we",
        why="1.5 Pro's cached price was a quarter, 3.8 TTS has $0.125; where none is published we say null.",
        source=f"{DATA}; {PAGE}",
    ),
    Reason(
        rule="2.5 Flash of April and May 2025 has one output price, $0.60, and none of sound or cached "
        "tokens",
        change=priced(
            input="0.15",
            cached="0.15",
            output_text="0.6",
            output_text_thinking=None,
            output_text_not_thinking=None,
        ),
        models=(
            "gemini-2.5-flash-preview",
            "gemini-2.5-flash-preview-04-17*",
            "gemini-2.5-flash-preview-05-20",
        ),
        right="we",
        why="Output of a call that thought cost $3.50, sound $1.00, cached tokens $0.0375.",
        source=f"{DATA}; {PAGE} of May 2025",
    ),
    Reason(
        rule="Gemini 1.0 Pro costs $0.125 and $0.375",
        change=priced(input="0.125", cached="0.125", output="0.375"),
        models=("gemini-pro", "gemini-1.0-pro", "gemini-1.0-pro-vision-001"),
        right="we",
        why="That is Vertex AI's price for a million characters; here it was $0.50 and $1.50 for a million "
        "tokens.",
        source=f"{DATA}; AI Studio's price list of 2024",
    ),
    Reason(
        rule="Gemma 2 costs $0.65",
        change=priced(input="0.65", cached="0.65", output="0.65"),
        models=("gemma-2-27b-it",),
        right="we",
        why="That is OpenRouter's price; Gemma is free here.",
        source=f"{DATA}; {PAGE}",
    ),
    Reason(
        rule="A free model costs 0 for what Google never listed, too: tiers, cached tokens",
        change=FREE,
        models=("gemma-3*", "gemma-4-*"),
        right="open",
        why="Free models were offered in the standard tier only; beyond that we say null, which is no "
        "other amount.",
        source=f"{DATA}; {PAGE}",
    ),
)
