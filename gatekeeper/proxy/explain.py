"""Whether a hypothetical call would be admitted: the checks of a real call, up to where that is recorded.
Nothing is written or reserved."""

from __future__ import annotations

from gatekeeper.keys.budgets import Shortfall
from gatekeeper.keys.explanation import Explanation, HypotheticalCall, budgets_left, rates_left
from gatekeeper.keys.virtual_key import KeyState
from gatekeeper.proxy.authenticate import apply_key_fields
from gatekeeper.proxy.call_budget import preview_reservation
from gatekeeper.proxy.call_rates import reserve_rates_of
from gatekeeper.proxy.context import ProxyContext
from gatekeeper.proxy.failures import CallFailed
from gatekeeper.proxy.http import HttpTransport
from gatekeeper.proxy.lifecycle import CallLifecycle
from gatekeeper.proxy.request_body import check_buffered
from gatekeeper.proxy.transport import PREFIX, RequestHead
from gatekeeper.refusals import Refusal
from gatekeeper.server.asgi_types import Message, Scope


async def explain(context: ProxyContext, key: KeyState, question: HypotheticalCall) -> Explanation:
    """Whether this key's call would be admitted now."""
    scope = _scope(question)
    call = CallLifecycle(context, RequestHead.of(scope), HttpTransport(scope, _no_receive, _no_send))
    refusal, reserves = await _admit(call, key, question)
    accounts = call.accounts
    model_accounts = context.registry.accounts.of_model(accounts, call.row.model)
    return Explanation(
        action=call.route.action,
        model=call.row.model,
        refusal=refusal,
        waits=reserves is Shortfall.WAIT,
        reserves_pico=None if isinstance(reserves, Shortfall) else reserves,
        left=(
            *budgets_left((*accounts, *model_accounts), call.row.started_at),
            *rates_left(accounts, call.row.model, context.rates, context.monotonic_micros()),
        ),
    )


async def _admit(
    call: CallLifecycle, key: KeyState, question: HypotheticalCall
) -> tuple[Refusal | None, int | Shortfall | None]:
    """The refusal, or what the call would reserve."""
    try:
        call.parse()
        call.row.user_id = question.user_id
        apply_key_fields(call.row, key)
        call.key, call.accounts = key, call.context.registry.accounts.of(key, call.row.user_id)
        call.admit()
        await call.context.check_path(key, call.head.path)
        call.google_key.check(call.route.model)
        call.exchange.body = question.body
        await check_buffered(call, question.body)
        reserves = preview_reservation(call, question.body)
        reserve_rates_of(call, is_seen=True)
        # As in a real call, the body chooses among the Google keys after the rates were reserved.
        call.google_key.check(call.route.model or next(iter(call.request_parser.summary.models), None))
    except CallFailed as failed:
        return failed.refusal, None
    finally:
        # No other call has seen the reservations: there was no checkpoint in between.
        for taken in call.rate_reservations:
            taken.undo()
    return None, reserves


def _scope(question: HypotheticalCall) -> Scope:
    path, _, query = question.path.partition("?")
    headers = [
        (b"host", b"localhost"),  # open mode refuses what may be a web page's
        (b"content-type", b"application/json"),
        (b"content-length", b"%d" % len(question.body)),
    ]
    if question.tags:
        headers.append((b"tags", ",".join(question.tags).encode()))
    return {
        "type": "http",
        "http_version": "1.1",
        "method": question.method,
        "scheme": "http",
        "raw_path": PREFIX + path.encode(),
        "query_string": query.encode(),
        "headers": headers,
        "client": (question.address, 0) if question.address else None,
        "server": None,
    }


async def _no_receive() -> Message:
    raise NotImplementedError("the body is known")


async def _no_send(message: Message) -> None:
    raise NotImplementedError("nothing is sent")
