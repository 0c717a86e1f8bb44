"""What LiteLLM 1.109.1 does otherwise: models that it does not know, and how it counts. The order is that in
which the rules are put together."""

from __future__ import annotations

from pricing.oracles.reasons import (
    FREE,
    WITHOUT_TOTAL,
    Reason,
    by_tool_use_too,
    in_tier,
    priced,
    without_context,
    without_searches,
)

TABLE = "model_prices_and_context_window_backup.json of the package"
CALCULATOR = "litellm_core_utils/llm_cost_calc/utils.py of the package"
BATCHES = "batch_cost_calculator of the package"
PAGE = "Google's pricing page"
READER = "VertexGeminiConfig._calculate_usage of the package"

LOOK_ALIKES = (
    "gemini-2.5-flash-lite-preview-06-17",
    "gemini-2.5-flash-preview-04-17",
    "gemini-2.5-flash-preview-04-17-thinking",
    "gemini-2.5-flash-preview-05-20",
    "gemini-2.5-flash-ultra-2099",
    "gemini-2.5-pro-exp-03-25",
    "gemini-2.5-pro-foo",
    "gemini-2.5-pro-preview-03-25",
    "gemini-2.5-pro-preview-05-06",
    "gemini-2.5-pro-preview-06-05",
    "gemini-3-pro-preview",
    "gemini-3.8-flash-lite",
)
FREE_MODELS = (
    "gemini-2.0-flash-exp-image-generation",
    "gemini-exp-*",
    "gemma-3-27b-it",
    "gemma-4-26b-a4b-it",
    "gemma-4-31b-it",
    "learnlm-1.5-pro-experimental",
)
AGENTS = ("deep-research-*", "gemini-2.5-computer-use-preview-10-2025")

LITELLM_COUNTS = (
    Reason(
        rule="The table does not have the model",
        answer="unknown",
        right="we",
        why="Google charged for it, or gave it away, and old calls must still be priced. Gemini 4 Carbon, "
        "Hydrogen and Neon came after this release.",
        source=f"{TABLE}; {PAGE} of the time",
    ),
    Reason(
        rule="A batch of a model that the table does not have costs 0.0, without an error",
        change=FREE,
        tiers=("batch",),
        right="we",
        why="What is not known is not free: we say null, or the price that Google listed.",
        source=f"{BATCHES}: `if not model_info: return 0.0, 0.0`",
    ),
    Reason(
        rule="An id that looks like a known one costs 0.0, without an error",
        change=FREE,
        models=LOOK_ALIKES,
        right="we",
        why="Real models of the past had prices; an id that nobody offers has none.",
        source=f"seen by running it; {TABLE} has no such row",
    ),
    Reason(
        rule="A search of a model without a listed price for it costs $0.035 for the request",
        change=priced(grounding_search_request="35", grounding_search_query=None),
        cases=("searches",),
        models=(*LOOK_ALIKES, *FREE_MODELS, *AGENTS, "*-image", "gemini-gemma-2-*"),
        right="we",
        why="Gemini 3 pays $14 per 1,000 queries; where no price is known we say null.",
        source="cost_per_web_search_request of the package, `_DEFAULT_COST`; deep research: its table",
    ),
    Reason(
        rule="A search on Maps of a model without a listed price for it costs $0.025 for the request",
        change=priced(grounding_maps_request="25"),
        cases=("a search on Maps",),
        models=(*LOOK_ALIKES, *FREE_MODELS, *AGENTS, "gemini-gemma-2-*"),
        right="open",
        why="Google's page does not say that the model can search on Maps; we say null.",
        source="GOOGLE_MAPS_GROUNDING_DEFAULT_COST_PER_PROMPT of the package",
    ),
    Reason(
        rule="A search on Maps of a later model without a listed price for it costs $0.014 a query",
        change=priced(grounding_maps_query="14"),
        cases=("a search on Maps",),
        models=("gemini-robotics-er-2-preview",),
        right="open",
        why="As above.",
        source="GOOGLE_MAPS_GROUNDING_DEFAULT_COST_PER_QUERY of the package",
    ),
    Reason(
        rule="A free model costs 0 for what Google never listed, too: tiers, cached tokens",
        change=FREE,
        models=FREE_MODELS,
        right="open",
        why="Free models were offered in the standard tier only; beyond that we say null, which is no "
        "other amount.",
        source=f"{TABLE}; {PAGE}",
    ),
    Reason(
        rule="Searches of batches are not charged",
        change=without_searches,
        tiers=("batch",),
        right="we",
        why="Grounding is billed beside the tokens in batches as elsewhere.",
        source=f"{BATCHES} has tokens only; {PAGE}, the grounding rows of the batch tables",
    ),
    Reason(
        rule="Thoughts that the counts leave out are lost: the total is not looked at",
        change=WITHOUT_TOTAL,
        cases=("thoughts left out",),
        right="we",
        why="Version v1 and the OpenAI-style API leave thoughts out of every count but the total; Google "
        "bills them.",
        source=f"{READER}; recorded answers; the billing FAQ: output includes thinking tokens",
    ),
    Reason(
        rule="Tool-use tokens count towards the context of 200,000 tokens",
        change=by_tool_use_too,
        cases=("beyond 200,000 by tool use",),
        right="open",
        why='The page says "prompts <= 200k tokens", and promptTokenCount is the prompt; Google does not '
        "name the tokens that tools bring in. Both tables count them.",
        source=f"{READER}: prompt_tokens = promptTokenCount + toolUsePromptTokenCount",
    ),
    Reason(
        rule="There is no dearer context in the table",
        change=without_context,
        models=(*AGENTS, "gemini-pro-latest"),
        cases=("200,001", "beyond 200,000 by tool use"),
        right="we",
        why="The model beneath has one: $4 and $18 above 200,000 tokens, half of it in batch.",
        source=f"{TABLE}; {PAGE}, Gemini 3.1 Pro",
    ),
    Reason(
        rule="Flex above 200,000 tokens is billed as standard",
        change=in_tier("standard"),
        models=(
            "gemini-2.5-pro",
            "gemini-3.1-pro-preview",
            "gemini-3.1-pro-preview-customtools",
            "gemini-pro-latest",
        ),
        tiers=("flex",),
        cases=("200,001", "beyond 200,000 by tool use"),
        right="we",
        why="Flex is half of both contexts.",
        source=f"{TABLE} has no *_above_200k_tokens_flex; {PAGE}, flex tables",
    ),
)
