"""What is said of calls without a price."""

from __future__ import annotations

from rig.cases import cases

from gatekeeper.client.spend import Spend, SpendRow, UnpricedModel, unpriced_text

MODELS = tuple(UnpricedModel(f"gemini-{n}", 1000 - n) for n in range(7))


@cases(
    ("calls", "models", "cut", "width", "told"),
    [
        (0, (), False, None, None),
        (1, (), False, None, "1 call of unknown cost"),
        (1, (UnpricedModel("m", 1),), False, None, "1 call of unknown cost, 1 model: m (1)"),
        (3, (UnpricedModel(None, 3),), False, None, "3 calls of unknown cost, 1 model: no model (3)"),
        (9, MODELS[:2], False, 5, "9 calls of unknown cost, 2 models: gemini-0 (1,000), …"),
        (9, MODELS[:2], False, 70, "9 calls of unknown cost, 2 models: gemini-0 (1,000), gemini-1 (999)"),
        (
            9999,
            MODELS,
            True,
            None,
            "9,999 calls of unknown cost, over 7 models: gemini-0 (1,000), gemini-1 (999), gemini-2 (998), "
            "gemini-3 (997), gemini-4 (996), …",
        ),
    ],
)
def test_calls_without_a_price(
    calls: int, models: tuple[UnpricedModel, ...], cut: bool, width: int | None, told: str | None
) -> None:
    total = SpendRow(calls=9999, unpriced_calls=calls)
    spend = Spend(total=total, unpriced_models=models, unpriced_models_truncated=cut)
    assert unpriced_text(spend, width) == told
