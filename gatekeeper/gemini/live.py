"""Meters a session of the Live API by the messages that Google sends.

Every message is a JSON object, in a text or a binary frame. Any message may have `usageMetadata` (Live API
reference, `BidiGenerateContentServerMessage`). Its counts are those of one turn, including the whole context
that the turn has read. They are cumulative within the turn, but not over the session (measured by others on
three-turn sessions; the recordings agree): the last counts of a turn are its usage, and each turn is billed.
A turn ends with `turnComplete`; a usage alone in the message right after that still belongs to the turn.
"""

from __future__ import annotations

import msgspec

from gatekeeper.gemini.grounding import Searches
from gatekeeper.gemini.json_values import as_object, as_text
from gatekeeper.gemini.response_parser import ResponseSummary
from gatekeeper.gemini.token_usage import Usage, add_usages, encode_usage
from gatekeeper.gemini.upstream_error import UpstreamError, read_error
from gatekeeper.gemini.usage import MAX_USAGE_BYTES, read_usage
from gatekeeper.gemini.usage_faults import UNREADABLE_NOTE

SUMMED_NOTE = "the usage of {turns:,} turns was added up, because they were too long to be kept"
REPEATED_NOTE = "a turn reported its usage more than once: the last one counts"


class _ServerContent(msgspec.Struct, rename="camel"):
    turn_complete: object = None
    turn_complete_reason: object = None
    interrupted: object = None
    grounding_metadata: object = None


class _ServerMessage(msgspec.Struct, rename="camel"):
    usage_metadata: msgspec.Raw = msgspec.Raw()
    server_content: _ServerContent | None = None
    tool_call: msgspec.Raw = msgspec.Raw()
    go_away: object = None
    error: object = None


_decode = msgspec.json.Decoder(_ServerMessage).decode


class TurnUsages:
    """The usage of each turn, as received, in a JSON list of bounded length, and their running sum, so that
    ending a long session takes no longer than ending a short one."""

    def __init__(self) -> None:
        self.turns = 0
        self.total: Usage | None = None
        self._kept: list[bytes] = []
        self._bytes = 1  # length of the whole list

    def add(self, raw: bytes) -> None:
        self.turns += 1
        self.total = self.plus(raw)
        self._bytes += len(raw) + 1
        if self._bytes > MAX_USAGE_BYTES:
            self._kept = []
        else:
            self._kept.append(raw)

    def plus(self, raw: bytes) -> Usage | None:
        """The sum including one more turn."""
        # As a list: `read_usage` explains invalid elements of a list.
        usage = read_usage(b"[" + raw + b"]")
        return add_usages([each for each in (self.total, usage) if each])

    def document(self, pending: bytes | None) -> tuple[bytes | None, Usage | None, str | None]:
        """The list including the current turn, the sum, and a note on the list."""
        total = self.total if pending is None else self.plus(pending)
        if total is None:
            return None, None, None
        if self._bytes + len(pending or b"") + (pending is not None) <= MAX_USAGE_BYTES:
            turns = self._kept if pending is None else [*self._kept, pending]
            return b"[" + b",".join(turns) + b"]", total, None
        notes = (SUMMED_NOTE.format(turns=self.turns + (pending is not None)), total.note)
        return b"[" + encode_usage(total) + b"]", total, "; ".join(filter(None, notes))


class LiveMeter:
    """A `Meter` of the server's messages in one session; it is fed whole messages. Nothing raises."""

    delimiters = None
    body_bytes = 0

    def __init__(self) -> None:
        self.go_away = False
        """Whether Google announced the end of the session (`goAway`)."""
        self.interruptions = 0
        """How often the client has interrupted the model."""
        self._usages = TurnUsages()
        self._pending: bytes | None = None  # the latest usage of the current turn
        self._ended_without_usage = False  # the last turn; its usage may still follow
        self._repeated = False
        self._searches = Searches()
        self._billed_units: dict[str, int | None] = {}
        self._interrupted = False  # the current turn
        self._finish_reason: str | None = None
        self._error: UpstreamError | None = None
        self._all_understood = True
        self._unreadable = False  # the usage of some turn

    @property
    def turns(self) -> int:
        """How many turns have reported their usage."""
        return self._usages.turns

    def feed(self, message: bytes) -> None:
        """Reads one whole message from the server, from a text or a binary frame."""
        try:
            found = _decode(message)
            usage = bytes(found.usage_metadata)
            # msgspec does not validate the UTF-8 of what it skips.
            usage.decode()
        # Invalid JSON or UTF-8; deep nesting exceeds the recursion limit.
        except (ValueError, RecursionError):
            self._skip(message)
            return
        content = found.server_content
        # A new turn has begun: the next usage is that of this turn.
        if content is not None or found.tool_call:
            self._ended_without_usage = False
        if usage not in (b"", b"null"):
            self._report(usage)
        if content is not None:
            self._read_content(content)
        if found.go_away is not None:
            self.go_away = True
        if (error := as_object(found.error)) is not None:
            self._error = read_error(error)

    def _skip(self, message: bytes) -> None:
        self._all_understood = False
        if b'"usageMetadata"' in message:
            # Turns are added up: without this one the sum would be too low.
            self._unreadable = True
            self._usages.add(b'"unknown"')

    def _report(self, usage: bytes) -> None:
        if self._ended_without_usage:
            self._ended_without_usage = False
            self._usages.add(usage)
            return
        self._repeated = self._repeated or self._pending is not None
        self._pending = usage

    def _read_content(self, content: _ServerContent) -> None:
        if content.grounding_metadata is not None:
            self._searches.add(content.grounding_metadata)
        if content.interrupted is True:
            self.interruptions += 1
            self._interrupted = True
        if content.turn_complete is True:
            self._end_turn(as_text(content.turn_complete_reason))

    def _end_turn(self, reason: str | None) -> None:
        self._finish_reason = reason or ("interrupted" if self._interrupted else None)
        self._interrupted = False
        self._ended_without_usage = self._pending is None
        if self._pending is not None:
            self._usages.add(self._pending)
        self._pending = None
        self._billed_units = self._with_searches()
        self._searches = Searches()

    def _with_searches(self) -> dict[str, int | None]:
        """The searches of the previous turns and of the current one. Each turn is billed for its own."""
        counts = dict(self._billed_units)
        for component, count in self._searches.counts.items():
            before = counts.get(component, 0)
            counts[component] = None if before is None or count is None else before + count
        return counts

    @property
    def summary(self) -> ResponseSummary:
        usage, total, note = self._usages.document(self._pending)
        notes = [
            note,
            REPEATED_NOTE if self._repeated else None,
            UNREADABLE_NOTE if self._unreadable else None,
        ]
        return ResponseSummary(
            usage=usage,
            read_usage=total,
            finish_reason="goAway" if self.go_away else self._finish_reason,
            error=self._error,
            billed_units=self._with_searches(),
            complete=self._all_understood,
            usage_note="; ".join(filter(None, notes)) or None,
        )

    def finish(self) -> ResponseSummary:
        return self.summary
