"""The limits of one row of LiteLLM's, as fields of a key, a group or an end user."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from typing import cast

from gatekeeper.keys.litellm_fields import LITELLM_FIELDS, UnsupportedField, is_unset
from gatekeeper.litellm.models import ModelNames
from gatekeeper.litellm.tables import Row, rounded_dollars

# LiteLLM's 30d and 7d end with the calendar's month and week (findings/litellm-30d-ends-with-the-month.sh);
# the words are what it takes, too.
PERIODS = {
    "30d": "1mo",
    "7d": "1w",
    "hourly": "1h",
    "daily": "1d",
    "24h": "1d",
    "weekly": "1w",
    "monthly": "1mo",
}
PERIOD = re.compile(r"[1-9][0-9]{0,5}(mo|[smhdw])")
COUNTS = ("tpm_limit", "rpm_limit", "max_parallel_requests")
MODEL_COUNTS = ("model_rpm_limit", "model_tpm_limit")

_BY_KIND = UnsupportedField("use `model_tpm_limit`, which counts input and output together")
METADATA_FIELDS: dict[str, UnsupportedField] = {
    "model_itpm_limit": _BY_KIND,
    "model_otpm_limit": _BY_KIND,
    "enforced_batch_output_expires_after": UnsupportedField("requests are not changed here"),
    "enforced_file_expires_after": UnsupportedField("requests are not changed here"),
    "require_trace_id": UnsupportedField("any request may come without one"),
    # It may hold secrets of other services.
    "logging": UnsupportedField("calls are logged by the gateway itself", is_limit=False),
    "secret_manager_settings": UnsupportedField("secrets are stored as digests only", is_limit=False),
    "team_member_budget_id": UnsupportedField("a group's members have no budgets of their own"),
    "team_member_key_duration": UnsupportedField("give each key its `duration`", is_limit=False),
}
"""Members of a row's `metadata` that LiteLLM itself has set, beside those of `LITELLM_FIELDS`."""


@dataclass
class Draft:
    """What a row becomes. `notes` say what is otherwise here, `lost` which limits it would be without,
    `unusable` why it cannot come at all. `respelled`: its period is the calendar's here."""

    fields: dict[str, object] = field(default_factory=dict[str, object])
    notes: list[str] = field(default_factory=list[str])
    lost: list[str] = field(default_factory=list[str])
    unusable: list[str] = field(default_factory=list[str])
    respelled: bool = False

    def put(self, name: str, value: object) -> None:
        """Sets a field, unless there is nothing to set."""
        if value not in (None, [], {}, False):
            self.fields[name] = value

    def leave(self, name: str, value: object, foreign: UnsupportedField) -> None:
        """A field of LiteLLM's that is not here."""
        if value not in (None, {}, [], "", 0) and not is_unset(name, value):
            # Written for whoever sends a request.
            why = foreign.instead.partition(": leave it out")[0]
            said = f"`{name}` ({why})"
            if foreign.is_limit:
                self.lost.append(said)
            else:
                self.notes.append(f"without {said}")


def draft_limits(row: Row, budget: Row | None, names: ModelNames, now: datetime) -> Draft:
    """The limits of a row, with those of the budget that it refers to where it has none of its own, as
    LiteLLM does it. Raises TableError."""
    draft, metadata = Draft(), row.document("metadata")
    for name in ("max_budget", "soft_budget"):
        # An amount is a text, so that "0" is one, too: only an empty cell leaves it to the budget.
        draft.put(name, row.amount(name) or (budget and budget.amount(name)))
    for name in COUNTS:
        own = row.whole(name)
        _put_count(draft, name, own if own is not None or budget is None else budget.whole(name))
    tokens_a_day = row.whole("tpd_limit") or (budget and budget.whole("tpd_limit"))
    draft.leave("tpd_limit", tokens_a_day, LITELLM_FIELDS["tpd_limit"])
    draft.leave("budget_limits", row.documents("budget_limits"), LITELLM_FIELDS["budget_limits"])
    draft.put("blocked", row.flag("blocked"))
    put_models(draft, row, names)
    for name in MODEL_COUNTS:
        _put_by_model(draft, name, metadata.get(name), names)
    _put_period(draft, row, budget, now)
    budgets = row.document("model_max_budget") or (budget.document("model_max_budget") if budget else {})
    _put_model_budgets(draft, budgets, names)
    for name, foreign in {**LITELLM_FIELDS, **METADATA_FIELDS}.items():
        if name in metadata:
            draft.leave(name, metadata[name], foreign)
    return draft


def put_models(draft: Draft, row: Row, names: ModelNames) -> None:
    """The list of models that a row allows."""
    models = names.of(row.names("models"))
    draft.put("models", models.globs)
    if not models.is_usable:
        draft.unusable.append(f"none of its models is Google's: {', '.join(models.foreign)}")
    elif models.foreign:
        draft.notes.append(f"models that are not Google's are left out: {', '.join(models.foreign)}")


def has_limits(row: Row) -> bool:
    """Whether a row of budgets, or one that has its columns, limits anything."""
    amounts = row.amount("max_budget") is not None
    counts = any(row.whole(name) is not None for name in (*COUNTS, "tpd_limit"))
    return amounts or counts or bool(row.document("model_max_budget") or row.names("allowed_models"))


def period_of(duration: str) -> str | None:
    """LiteLLM's `budget_duration` as a period of the same length here; None if it is none."""
    text = duration.strip().lower()
    found = PERIODS.get(text, text)
    return found if PERIOD.fullmatch(found) else None


def _put_count(draft: Draft, name: str, count: int | None) -> None:
    if count is not None and count <= 0:
        # There no call is accepted: here it is called what it is.
        draft.fields["blocked"] = True
        draft.notes.append(f"{name} 0 lets no call through: it is blocked")
    else:
        draft.put(name, count)


def _put_period(draft: Draft, row: Row, budget: Row | None, now: datetime) -> None:
    """The period of its budget, and what it has spent in it."""
    source = row if row.text("budget_duration") or budget is None else budget
    duration, spend = source.text("budget_duration"), row.amount("spend")
    draft.put("spend", None if spend in (None, "0") else spend)
    if duration is None:
        return
    period = period_of(duration)
    if period is None:
        draft.unusable.append(f"budget_duration {duration!r} is no period")
        return
    draft.fields["budget_duration"] = period
    draft.respelled = period != duration
    if reset := source.time("budget_reset_at"):
        draft.fields["budget_reset_at"] = reset.astimezone(UTC).isoformat()
        if reset <= now:
            draft.notes.append("its budget's period is over: it begins with nothing spent")


def _put_by_model(draft: Draft, name: str, given: object, names: ModelNames) -> None:
    if not isinstance(given, dict):
        return
    found: dict[str, object] = {}
    for model, number in cast("dict[str, object]", given).items():
        if (google := names.google(model)) is None:
            _leave_model(draft, name, model)
        elif not isinstance(number, int) or number <= 0:
            draft.lost.append(f"`{name}` of {model} (it is no whole number from 1)")
        else:
            # Two of LiteLLM's names may be one model here: the narrower limit holds.
            found[google] = min(number, cast("int", found.get(google, number)))
    draft.put(name, found)


def _leave_model(draft: Draft, name: str, model: str) -> None:
    """A limit of a model that is none of Google's by its name. Where any model may be used it may be one of
    them behind a name of the installation's own."""
    if "models" not in draft.fields:
        draft.lost.append(f"`{name}` of {model} (which is no model of Google's; --model says if it is one)")


def _put_model_budgets(draft: Draft, given: Mapping[str, object], names: ModelNames) -> None:
    """Budgets of models have the period of the budget that they are part of; in LiteLLM each has its own."""
    found: dict[str, str] = {}
    periods: set[str | None] = set()
    for model, value in given.items():
        if (google := names.google(model)) is None:
            _leave_model(draft, "model_max_budget", model)
            continue
        members = cast("Mapping[str, object]", value) if isinstance(value, dict) else {"max_budget": value}
        for name in ("tpm_limit", "rpm_limit"):
            if members.get(name) is not None:
                draft.lost.append(f"the {name} in `model_max_budget` of {model} (use `model_{name}`)")
        duration = members.get("time_period") or members.get("budget_duration")
        periods.add(period_of(str(duration)) if duration else None)
        limit = members.get("budget_limit", members.get("max_budget"))
        try:
            amount = None if limit is None else rounded_dollars(str(limit))
        except InvalidOperation:
            draft.lost.append(f"`model_max_budget` of {model} (it is no amount)")
            continue
        if amount is not None:
            # Two of LiteLLM's names may be one model here: the narrower limit holds, as in `_put_by_model`.
            found[google] = min(amount, found.get(google, amount), key=Decimal)
    if not found:
        return
    draft.fields["model_max_budget"] = found
    draft.notes.append("budgets of models begin with nothing spent: LiteLLM does not store what was")
    own = cast("str | None", draft.fields.get("budget_duration"))
    if own is None and "max_budget" not in draft.fields and len(periods) == 1 and periods != {None}:
        draft.put("budget_duration", periods.pop())
    elif periods != {own}:
        draft.lost.append("the period of `model_max_budget` (here it is that of the budget)")
