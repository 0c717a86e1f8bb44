"""How a call stands, and all that is known of it as lines of toned text: times, tokens, cost.

Colour never says alone how it stands. Signs: `✓` went well, `◌` under way, `⊘` refused or at a limit, `↯` the
client left, `✗` a fault. Each is one cell wide in every font that has it.

Pure. It adds up nothing: the sums and every line of the arithmetic are the gateway's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime
from decimal import Decimal

from gatekeeper.client import formats
from gatekeeper.client.api_types import Call, CallDetail, Cost, CostLine
from gatekeeper.client.formats import Cell, State, Tone, padded

TextLine = list[Cell]
Moment = Callable[[datetime | None], str]
"""Shows a time."""
INDENT = "  "
# Cells of the columns that the arithmetic stands in.
NAME, NUMBER, DOLLARS = 22, 10, 18

# Phases of a call's time, in their order: texture, name, tone.
PHASES = (("▓", "gateway", Tone.WAITING), ("░", "waiting for Google", Tone.FAINT), ("█", "answer", Tone.FINE))

# By outcome. Where the client was sent a status that tells the story, the status is the word.
OUTCOMES = {
    "ok": State("✓", "ok", Tone.FINE, "ok"),
    "refused": State("⊘", "refused", Tone.LIMIT, "refused by the gateway"),
    "upstream_error": State("✗", "error", Tone.ERROR, "refused or failed by Google"),
    "upstream_unreachable": State("✗", "no path", Tone.ERROR, "Google could not be reached"),
    "upstream_broken": State("✗", "broke", Tone.ERROR, "Google's answer ended early"),
    "client_disconnected": State("↯", "left", Tone.LIMIT, "the client left"),
    "cut": State("⊘", "cut", Tone.LIMIT, "cut by the gateway on its way"),
    "interrupted": State("✗", "died", Tone.ERROR, "the gateway died meanwhile"),
}
# Outcomes of which the client was told by the status: it is the word then.
STATUS_TELLS = frozenset({"ok", "refused", "upstream_error", "upstream_unreachable"})


def call_state(call: Call, now: datetime) -> State:
    """A call in flight shows its running clock instead of a status."""
    if call.outcome is None:
        running = elapsed_ms(call, now)
        word = (
            "…"
            if running is None
            else f"{running / 1000:.1f}s"
            if running < 59_950
            else formats.duration(running)
        )
        return State("◌", word, Tone.WAITING, "in flight")
    state = OUTCOMES.get(call.outcome, State("·", call.outcome, Tone.PLAIN, call.outcome))
    if call.status is None or call.outcome not in STATUS_TELLS:
        return state
    return State(state.sign, str(call.status), state.tone, state.meaning)


def elapsed_ms(call: Call, now: datetime) -> float | None:
    """How long a call has run; never negative, though the two clocks may differ."""
    return None if call.started_at is None else max((now - call.started_at).total_seconds() * 1000, 0)


def call_text(call: CallDetail, width: int, now: datetime, moment: Moment = formats.moment) -> list[TextLine]:
    """All that is known of a call, for a screen of `width` cells."""
    parts = (
        failure(call, now),
        head(call, width, now),
        identity(call, moment),
        timing(call, width),
        tokens(call),
        cost(call),
        ending(call),
    )
    text: list[TextLine] = []
    for part in parts:
        if part:
            text += [*part, []]
    return text


def failure(call: CallDetail, now: datetime) -> list[TextLine]:
    """Why it failed, in the words of who refused it."""
    state = call_state(call, now)
    return [[(f"{state.sign} {call.error_message}", state.tone)]] if call.error_message else []


def head(call: CallDetail, width: int, now: datetime) -> list[TextLine]:
    """The id, and on the right how it stands."""
    state = call_state(call, now)
    # The meaning is told where the sign and its word do not say it already.
    end = f"{state}  {state.meaning}" if state.meaning not in (state.word, "") else str(state)
    return [
        [
            (padded(call.id, max(width - len(end), len(call.id) + 2), right=False), Tone.ACCENT),
            (end, state.tone),
        ]
    ]


def identity(call: CallDetail, moment: Moment) -> list[TextLine]:
    """Who called what, and when."""
    # An alias is served by a model of another name.
    served = call.model_version if call.model_version and call.model_version != call.model else None
    facts = {
        "key": f"{call.key_alias}  ({call.key_id})" if call.key_alias else call.key_id,
        "request": f"{call.method or ''} {call.path or ''}".strip() or None,
        "model": f"{call.model}  served by {served}" if served else call.model,
        "action": call.action,
        "tags": "  ".join(call.tags) if call.tags else None,
        "user": call.user_id,
        "started": moment(call.started_at),
        "reason": call.reason,
    }
    return [fact(name, value, reason_tone(name)) for name, value in facts.items() if value]


def reason_tone(name: str) -> Tone:
    return Tone.LIMIT if name == "reason" else Tone.PLAIN


def fact(name: str, value: str, tone: Tone = Tone.PLAIN) -> TextLine:
    """A name and what it stands for."""
    return [(INDENT, Tone.PLAIN), (padded(name, 10, right=False), Tone.FAINT), (value, tone)]


def phases(call: CallDetail) -> list[float | None]:
    """Milliseconds in the gateway, waiting for Google's first byte, and from there to the last."""
    first, own, total = call.first_byte_ms, call.gateway_ms, call.duration_ms
    waiting = max(first - own, 0) if first is not None and own is not None else None
    streaming = max(total - first, 0) if total is not None and first is not None else None
    return [own, waiting, streaming]


def timing(call: CallDetail, width: int) -> list[TextLine]:
    """A bar of the phases by their share of the whole, and what they are in numbers."""
    if call.duration_ms is None:
        return running(call) if call.outcome is None else []
    spent = phases(call)
    room = width - 2 * len(INDENT)
    bar: TextLine = [(INDENT, Tone.PLAIN)]
    legend: TextLine = [(INDENT, Tone.PLAIN)]
    for (texture, name, tone), part in zip(PHASES, spent, strict=True):
        if part is not None:
            # A texture for each, so that without colour they can be told apart, too.
            bar.append((texture * phase_width(part, call.duration_ms, room), tone))
            legend += [
                (f"{texture} ", tone),
                (f"{name} ", Tone.FAINT),
                (f"{formats.duration(part)}   ", Tone.PLAIN),
            ]
    legend += [("total ", Tone.FAINT), (formats.duration(call.duration_ms), Tone.PLAIN)]
    return [bar, legend] if len(bar) > 1 else [legend]


def running(call: CallDetail) -> list[TextLine]:
    """What is known of the times of a call that has not ended."""
    if call.first_byte_ms is None:
        return [[(f"{INDENT}no byte of the answer yet", Tone.WAITING)]]
    own, waited, _ = phases(call)
    known = ((PHASES[0], own), (PHASES[1], waited))
    parts = [f"{name} {formats.duration(part)}" for (_, name, _), part in known if part is not None]
    first = f"first byte after {formats.duration(call.first_byte_ms)}"
    return [[(f"{INDENT}{'   '.join([first, *parts])}   still answering", Tone.WAITING)]]


def phase_width(part: float, whole: float, room: int) -> int:
    """Cells for a phase; the shortest still shows."""
    # Each phase may be rounded up to a cell: there is room for that.
    return max(round(part / whole * (room - len(PHASES))), 1) if part > 0 and whole > 0 else 0


def tokens(call: CallDetail) -> list[TextLine]:
    """Tokens by kind, as Google says; kinds that it did not report are left out."""
    kinds = {
        "prompt": (call.prompt_tokens, ""),
        "of these cached": (call.cached_tokens, ""),
        "output": (call.output_tokens, ""),
        "thoughts": (call.thoughts_tokens, "counted as output"),
        "tool prompts": (call.tool_tokens, ""),
        "total": (call.total_tokens, "as Google says"),
    }
    known = [
        row(name, formats.count(number), note) for name, (number, note) in kinds.items() if number is not None
    ]
    said = [title(call.usage_note)] if call.usage_note else []
    so_far = " so far" if call.outcome is None else ""
    return [title(f"tokens{so_far}"), *known, *said] if known or said else []


def title(text: str) -> TextLine:
    return [(INDENT + text, Tone.FAINT)]


def row(name: str, number: str, note: str = "") -> TextLine:
    """A name, a right-aligned number and a note."""
    cells = [
        (INDENT + padded(name, NAME, right=False), Tone.PLAIN),
        (padded(number, NUMBER, right=True), Tone.PLAIN),
    ]
    return [*cells, (f"  {note}", Tone.FAINT)] if note else cells


def cost(call: CallDetail) -> list[TextLine]:
    """The arithmetic, line by line to the last decimal, and its sum."""
    # It may have a cost yet; unknown is what a call is that has ended.
    if call.outcome is None and call.cost_usd is None:
        return []
    arithmetic = call.cost or Cost()
    lines = [cost_line(line) for line in arithmetic.lines or ()]
    said = [title(note) for note in notes(arithmetic)]
    version = call.price_version or arithmetic.price_version
    return [title("cost"), *lines, cost_total(call.cost_usd, version), *said]


def cost_total(amount: Decimal | None, version: str | None) -> TextLine:
    """What it makes in all, and by which prices; unknown is said in words."""
    note = "nobody knows: no price is known for this model or kind" if amount is None else ""
    by = note or (f"prices {version}" if version else "")
    return [
        (INDENT + padded("total", NAME + NUMBER, right=False), Tone.PLAIN),
        (
            padded(formats.exact_money(amount), DOLLARS, right=True),
            Tone.LIMIT if amount is None else Tone.ACCENT,
        ),
        (f"  {by}", Tone.FAINT),
    ]


def cost_line(line: CostLine) -> TextLine:
    """One component: how many at what price makes how much."""
    name = line.component.replace("_", " ")
    quantity = formats.NOTHING if line.quantity is None else f"{line.quantity:,f}"
    # `per_1m_tokens` is told as people write it.
    unit = line.unit.replace("_", " ").replace(" 1m ", " 1M ")
    return [
        *row(name, quantity),
        (padded(formats.exact_money(line.usd), DOLLARS, right=True), Tone.PLAIN),
        (f"  at {formats.price(line.unit_usd)} {unit}", Tone.FAINT),
    ]


def notes(cost: Cost) -> Iterator[str]:
    """What the pricing has to say about itself."""
    yield from (cost.notes,) if isinstance(cost.notes, str) else cost.notes or ()


def ending(call: CallDetail) -> list[TextLine]:
    """The rest: how it finished, how much was sent, by whom, with which of Google's keys."""
    facts = {
        "finish": call.finish_reason,
        "bytes": sent(call),
        "tier": call.service_tier,
        "client": call.user_agent,
        "upstream": f"Google key {call.upstream_key}" if call.upstream_key else None,
        "trace": call.trace_id,
    }
    return [fact(name, value) for name, value in facts.items() if value]


def sent(call: CallDetail) -> str:
    """How much went up and came down. A gateway that died had not written it down: its 0 is no number."""
    up, down = call.request_bytes, call.response_bytes
    # Nothing was written down of what had come through: 0 would be a number.
    if call.outcome == "interrupted":
        up, down = up or None, down or None
    until = " so far" if call.outcome is None else ""
    return f"{formats.size(up)} up, {formats.size(down)} down{until}"
