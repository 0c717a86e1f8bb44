"""Why a call failed, in words: every reason of the gateway, those of Google's, and outcomes without one."""

from __future__ import annotations

from rich.cells import cell_len
from rig.cases import cases

from gatekeeper.client.call_columns import call_cells, call_columns
from gatekeeper.client.call_types import Call
from gatekeeper.client.columns import column_widths
from gatekeeper.client.formats import local_now
from gatekeeper.client.reasons import GATEWAY_REASONS, GOOGLE_REASONS, OUTCOMES, WORDS_WIDTH, cause
from gatekeeper.ledger.call import Outcome
from gatekeeper.refusals import Reason

ALL = [*GATEWAY_REASONS.values(), *GOOGLE_REASONS.values(), *OUTCOMES.values()]


def test_every_reason_of_the_gateway_and_every_failed_outcome_has_words() -> None:
    assert set(GATEWAY_REASONS) == set(Reason)
    assert set(OUTCOMES) == set(Outcome) - {Outcome.OK, Outcome.REFUSED}
    assert all(known.words and known.remedy for known in GATEWAY_REASONS.values())


def test_words_fit_the_narrowest_screen_and_tell_reasons_of_the_gateway_apart() -> None:
    assert max(cell_len(known.words) for known in ALL) <= WORDS_WIDTH
    words = [known.words for known in GATEWAY_REASONS.values()]
    assert len(set(words)) == len(words)


@cases("width", [80, 100, 120, 160, 200])
@cases("reason", [*GATEWAY_REASONS, *GOOGLE_REASONS])
def test_the_words_are_in_a_list_of_any_width(width: int, reason: str) -> None:
    outcome = "refused" if reason in GATEWAY_REASONS else "upstream_error"
    call = Call(
        id="x", outcome=outcome, reason=reason, status=429, tags=("eval", "eu"), error_message="no " * 99
    )
    columns = call_columns(width, local_now)
    line = call_cells(columns, column_widths(columns, width - 1), call)
    text = "".join(cell for cell, _ in line)
    known = cause(call)
    assert known
    assert known.words in text
    assert cell_len(text) == width - 1
    assert ("eval eu" in text) == (width >= 120)


@cases(
    ("fields", "words"),
    [
        ({}, None),
        ({"outcome": "ok"}, None),
        ({"outcome": "refused", "reason": "GATEKEEPER_BUDGET_EXCEEDED"}, "over budget"),
        ({"outcome": "cut", "reason": "GATEKEEPER_BUDGET_EXCEEDED"}, "over budget"),
        ({"outcome": "refused", "reason": "GATEKEEPER_NEW_ONE"}, "new one"),
        ({"outcome": "upstream_error", "reason": "RESOURCE_EXHAUSTED"}, "Google: quota exceeded"),
        ({"outcome": "upstream_error", "reason": "resource_exhausted"}, "Google: quota exceeded"),
        (
            {"outcome": "upstream_error", "reason": "API_KEY_SERVICE_BLOCKED"},
            "Google: api key service blocked",
        ),
        ({"outcome": "upstream_error"}, "Google: error"),
        ({"outcome": "interrupted"}, "gateway was killed"),
        ({"outcome": "client_disconnected"}, "client disconnected"),
        ({"outcome": "of_tomorrow"}, "of tomorrow"),
    ],
)
def test_words(fields: dict[str, str], words: str | None) -> None:
    known = cause(Call(**fields))
    assert (known.words if known else None) == words


def test_a_failed_call_shows_its_message_where_there_is_room() -> None:
    call = Call(outcome="refused", reason="GATEKEEPER_POLICY", error_message="Searches are not allowed.")
    columns = call_columns(120, local_now)
    text = "".join(cell for cell, _ in call_cells(columns, column_widths(columns, 119), call))
    assert "not allowed by policy: Searches are not" in text
