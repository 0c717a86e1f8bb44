"""`python -m tests.pricing.oracles.make genai-prices|litellm` asks the installed package for the cost of each
call of the grid, and writes the answers beside this file.

The packages are not among the project's requirements. To make the files again, from the root of the project:

    python -m venv /tmp/oracles
    /tmp/oracles/bin/pip install genai-prices==0.2.3 litellm==1.109.1
    /tmp/oracles/bin/python -m tests.pricing.oracles.make genai-prices
    /tmp/oracles/bin/python -m tests.pricing.oracles.make litellm

The models are all that the price list, or the package, knows of the Gemini API, and some that nobody offers.
An answer is the amount in dollars as the package gives it, or its refusal in one word.
"""

from __future__ import annotations

import json
import os
import sys
import tomllib
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

# What the tests share is imported as they import it.
sys.path.insert(0, str(Path(__file__).parents[2]))

from pricing.oracles.grid import (
    DAYS,
    GLOB_EXAMPLES,
    INVENTED,
    TODAY,
    Case,
    cases_of,
    days_of,
    kind_of,
    tiers_of,
)

FOLDER = Path(__file__).parent
CATALOGUE = FOLDER.parents[2] / "gatekeeper" / "pricing" / "prices.toml"
NOT_KNOWN = "unknown"

# model, tier, day, case -> dollars, or a refusal
Ask = Callable[[str, str, str, Case], str]


class Oracle(NamedTuple):
    package: str
    models: frozenset[str]
    days: tuple[str, ...]
    ask: Ask


def genai_prices() -> Oracle:
    """What its own reader makes of a response, by the prices of its own table on the day of the call."""
    import genai_prices as package
    from genai_prices import data

    (google,) = (provider for provider in data.providers if provider.id == "google")

    def ask(model: str, tier: str, day: str, case: Case) -> str:
        response = {"modelVersion": model, "usageMetadata": case.usage}
        context = {"batch": {"processing": "batch"}, "standard": {}}.get(tier, {"service_tier": tier})
        at = datetime.fromisoformat(f"{day}T12:00:00").replace(tzinfo=UTC)
        try:
            if google.find_model(model) is None:
                return NOT_KNOWN
            used = package.extract_usage(response, provider_id="google")
            price = used.calc_price(genai_request_timestamp=at, price_context=context)
        except Exception as error:  # noqa: BLE001  what it is, is the answer
            return type(error).__name__
        return f"{price.total_price.normalize():f}"

    named = {name for model in google.models for name in _names(model.match)}
    ours = {name for name in named if name.startswith(("gemini", "gemma")) and not name.endswith("-maas")}
    return Oracle("genai-prices", frozenset(ours), DAYS, ask)


def _names(clause: Any) -> Iterator[str]:
    """The ids in a clause of its matching: whole ones, and beginnings that are a model's own id."""
    for part in (*getattr(clause, "or_", ()), *getattr(clause, "and_", ())):
        yield from _names(part)
    for attribute in ("equals", "starts_with"):
        if (name := getattr(clause, attribute, "")) and not name.endswith("-") and ":" not in name:
            yield name


def litellm() -> Oracle:
    """What its reader of Gemini's responses and its calculator make of one, by the table in the package."""
    os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"
    import litellm as package
    from litellm.cost_calculator import (
        batch_cost_calculator,
        default_image_cost_calculator,
        default_video_cost_calculator,
    )
    from litellm.llms.gemini.cost_calculator import (
        cost_per_google_maps_grounding_request,
        cost_per_web_search_request,
    )
    from litellm.llms.vertex_ai.gemini.vertex_and_google_ai_studio_gemini import (
        VertexGeminiConfig,
    )

    def of_tokens(name: str, tier: str, case: Case) -> float:
        used = VertexGeminiConfig._calculate_usage({"usageMetadata": case.usage})
        if tier == "batch":
            return sum(batch_cost_calculator(used, name, "gemini"))
        cost = sum(package.cost_per_token(name, usage_object=used, service_tier=tier))
        details = used.prompt_tokens_details
        if searches := case.units.get("grounding_search_query"):
            details.web_search_requests = searches
            cost += cost_per_web_search_request(used, package.get_model_info(name))
        if searches := case.units.get("grounding_maps_query"):
            details.google_maps_grounding_requests = searches
            cost += cost_per_google_maps_grounding_request(used, package.get_model_info(name))
        return cost

    def of_pieces(name: str, component: str, quantity: int) -> float:
        if component in ("image_each", "music_each"):
            return default_image_cost_calculator(name, "gemini", n=quantity)
        resolution = component.rpartition("_")[2]
        return default_video_cost_calculator(name, quantity, "gemini", video_resolution=resolution)

    def ask(model: str, tier: str, day: str, case: Case) -> str:
        name = f"gemini/{model}"
        try:
            ((component, quantity),) = case.units.items() if not case.usage else [("", 0)]
            cost = of_tokens(name, tier, case) if case.usage else of_pieces(name, component, quantity)
        except Exception as error:  # noqa: BLE001  what it is, is the answer
            missing = "mapped" in str(error) or "not found in cost map" in str(error)
            return NOT_KNOWN if missing else type(error).__name__
        return repr(cost)

    known = {name.rpartition("/")[2] for name, row in package.model_cost.items() if _is_gemini(row)}
    return Oracle("litellm", frozenset(known), (TODAY,), ask)


def _is_gemini(row: dict[str, Any]) -> bool:
    return row.get("litellm_provider") == "gemini"


def answers(oracle: Oracle, model: str) -> Iterator[tuple[str, str, list[str]]]:
    """Day, tier, and the package's answers to all cases of the model's kind."""
    kind = kind_of(model)
    for day in days_of(model, oracle.days):
        for tier in tiers_of(kind, day):
            yield day, tier, [oracle.ask(model, tier, day, case) for case in cases_of(kind, day).values()]


def blocks(found: Iterable[tuple[str, str, list[str]]]) -> list[list[str]] | str:
    """Equal answers are written once: `days`, `tiers` and the answers that they share; those of a model that
    is unknown whatever the call as that one word."""
    by_tier: dict[tuple[str, tuple[str, ...]], list[str]] = {}
    for day, tier, given in found:
        by_tier.setdefault((day, tuple(given)), []).append(tier)
    merged: dict[tuple[str, tuple[str, ...]], list[str]] = {}
    for (day, given), tiers in by_tier.items():
        merged.setdefault((" ".join(tiers), given), []).append(day)
    if {answer for _, given in merged for answer in given} == {NOT_KNOWN}:
        return NOT_KNOWN
    return [[" ".join(days), tiers, *given] for (tiers, given), days in merged.items()]


def catalogue_models() -> set[str]:
    document = tomllib.loads(CATALOGUE.read_text("utf-8"))
    ids = {name for model in document["models"] for name in model["ids"]} | document["aliases"].keys()
    return {name for name in ids if "*" not in name}


def main(package: str) -> None:
    oracle = {"genai-prices": genai_prices, "litellm": litellm}[package]()
    models = sorted({*oracle.models, *catalogue_models(), *GLOB_EXAMPLES, *INVENTED})
    lines = [f"{json.dumps(name)}: {json.dumps(blocks(answers(oracle, name)))}" for name in models]
    head = f'{{"package": "{package}", "release": "{version(package)}", "answers": {{\n'
    (FOLDER / f"{package}.json").write_text(head + ",\n".join(lines) + "\n}}\n", "utf-8")


if __name__ == "__main__":
    main(sys.argv[1])
