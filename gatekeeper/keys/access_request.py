"""What a call needs access to, and the form of a rule that decides on it."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from gatekeeper.gemini.actions import Billing
from gatekeeper.gemini.request_summary import RequestSummary
from gatekeeper.keys.account import Account
from gatekeeper.refusals import Refusal


class AccessRequest(msgspec.Struct, frozen=True):
    """What a call needs access to: its action and model as far as the request line names them, and its path
    after `/gemini`. `billing` is that of its route; `unpriced_reason` says why this call could not be priced,
    and is set for a key with a budget only. `model_pending`: the body or a later message names the model, and
    is admitted then. `request_summary` is what its body names, None while that is not known. `client` is the
    address that it comes from, if one of its accounts is limited to some."""

    action: str | None
    model: str | None
    path: str
    billing: Billing
    unpriced_reason: str | None = None
    model_pending: bool = False
    request_summary: RequestSummary | None = None
    client: str = ""

    @property
    def billable(self) -> bool:
        """Whether it may cost anything."""
        return self.billing is not Billing.FREE

    @property
    def what(self) -> str:
        """What it calls, in a sentence."""
        return self.action or self.path


Rule = Callable[[Account, AccessRequest, int], Refusal | None]
"""By account, request and time (microseconds since 1970)."""
