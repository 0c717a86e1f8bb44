"""What a request's body names, looked at beside its relay: `ProxyCall.request_parser`, and the row."""

from __future__ import annotations

import trio
from msgspec.structs import replace

from gatekeeper.gemini.actions import INTERACTIONS, PRICED_ACTIONS
from gatekeeper.gemini.request_parser import PLAIN_ACTIONS, RequestSummary, may_name_more, request_parser
from gatekeeper.keys.admission import AccessRequest, admit, cost_unknown_refusal
from gatekeeper.keys.admission import admit_body as admit_by_body
from gatekeeper.proxy.call import ProxyCall
from gatekeeper.proxy.outcomes import Refused
from gatekeeper.proxy.settlement import apply_request

CONTINUING = PLAIN_ACTIONS | INTERACTIONS  # actions that may go on with a long decode
PARSED_AT_ONCE = 16 * 1024  # bytes, between two turns of other calls


def attach_parser(call: ProxyCall) -> None:
    """To be called before the body is fed to it."""
    encoding, media_type = call.fields.get(b"content-encoding"), call.fields.get(b"content-type")
    call.request_parser = request_parser(call.route.action, encoding, media_type)


def is_worth_parsing(call: ProxyCall, body: bytes) -> bool:
    """Whether a buffered body may name something that the path does not: prompts are long, and seldom do."""
    if call.route.action not in PLAIN_ACTIONS or b"content-encoding" in call.fields:
        return True
    return may_name_more(body)


async def parse_body(call: ProxyCall, body: bytes) -> None:
    """Parses a buffered body, so that all of it is known before its first byte goes upstream."""
    attach_parser(call)
    for start in range(0, len(body), PARSED_AT_ONCE):
        if start:
            await trio.lowlevel.checkpoint()
        call.request_parser.feed(body[start : start + PARSED_AT_ONCE])
    apply_body(call)


def admit_body(call: ProxyCall, *, is_seen: bool) -> None:
    """The second step of admission, by what the body names: before a byte of it goes upstream, and so also if
    it goes there unseen, while it is received. Raises Refused."""
    if not call.accounts:
        return
    asked = call.request_parser.summary
    if not is_seen:
        asked = replace(asked, understood=False)
    request = replace(call.access_request(), asked=asked)
    if refusal := admit_by_body(call.accounts, request, call.row.started_at):
        raise Refused(refusal)
    _admit_models(call, asked, request)


def _admit_models(call: ProxyCall, named: RequestSummary, request: AccessRequest) -> None:
    """Refuses what a budget could not limit, where only the body names the model. Raises Refused."""
    route = call.route
    account = next((each for each in call.accounts if each.record.max_budget_pico is not None), None)
    if account is None or route.model or route.action not in PRICED_ACTIONS:
        return
    if not named.understood:
        raise Refused(cost_unknown_refusal(account, request, "cannot look at all of its body first"))
    if named.background:
        raise Refused(
            cost_unknown_refusal(account, request, "does not see what a background interaction costs")
        )
    if not named.models:
        raise Refused(cost_unknown_refusal(account, request, "finds no model in its body"))
    for model in named.models:
        call.route = replace(route, model=model)
        if refusal := admit(call.accounts, call.access_request(), call.row.started_at):
            raise Refused(refusal)


def apply_body(call: ProxyCall) -> None:
    """What the body has named goes into the row, with the call whose long decode this one goes on."""
    summary, row = call.request_parser.summary, call.row
    apply_request(row, summary)
    if summary.continuation and row.key_id and row.action in CONTINUING:
        row.continues = call.context.long_decodes.find(row.key_id, summary.continuation, row.started_at)
