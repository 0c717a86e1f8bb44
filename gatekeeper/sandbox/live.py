"""A session of the Live API (https://ai.google.dev/api/live) without a connection: messages in, messages out.

A turn is a generate call with the whole history, so texts, tools and commands are the same. It ends with
generationComplete, then turnComplete with its usage. Audio is silence, with a transcription if the setup
requests one. `!cut` breaks the connection, an error closes it, with Google's codes: 1007 for malformed
messages, 1008 for refused ones, 1011 for the rest.

Not simulated: interruptions, proactive audio, goAway, voice activity detection: the model responds to audio
at `audioStreamEnd` or `activityEnd`, to text at once.
"""

from __future__ import annotations

import base64
import uuid
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from gatekeeper.sandbox.calls import SLOW_SECONDS, Calls, chunk_delays
from gatekeeper.sandbox.errors import Command, GoogleError, invalid, invalid_payload
from gatekeeper.sandbox.generate import GenerateResponse, respond
from gatekeeper.sandbox.google_json import Json, decode, message, messages, text
from gatekeeper.sandbox.google_json import field as json_field
from gatekeeper.sandbox.store import ExpiringStore
from gatekeeper.sandbox.token_counts import TokenCounts, token_details

METHOD = "bidiGenerateContent"
KINDS = ("setup", "clientContent", "realtimeInput", "toolResponse")
# A quarter of a second at 16 bits and 24 kHz, and its tokens at 32 per second.
SILENCE = base64.b64encode(bytes(12_000)).decode()
TOKENS_PER_SILENCE = 8
# Limit of base64 in one turn.
MAX_MEDIA_BYTES = 4 * 1024 * 1024
CLOSE_CODES = {400: 1007, 401: 1008, 403: 1008, 404: 1008}
# Limit of the reason in a Close frame, in UTF-8 (RFC 6455 §5.5).
MAX_REASON_BYTES = 123
# Characters of text and base64 in a history: at four per token most of the 131,072 tokens of a Live model.
MAX_HISTORY_CHARACTERS = 400_000
# Characters that each turn counts in addition, which limits the number of turns.
OVERHEAD_CHARACTERS = 100


class LiveClose(Exception):
    """The session ends; without a code the connection breaks."""

    def __init__(self, code: int | None, reason: str = "") -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason


# Seconds to wait before sending, and the message.
Outgoing = tuple[float, Json]


def close_for(error: GoogleError) -> LiveClose:
    reason = error.message.encode()[:MAX_REASON_BYTES].decode(errors="ignore")
    return LiveClose(CLOSE_CODES.get(error.code, 1011), reason)


class History:
    """The history of a session: a sliding window of turns, which bounds the cost of a long session and stays
    within the model's context."""

    def __init__(self, contents: Iterable[Json] = ()) -> None:
        self.contents: list[Json] = []
        self._sizes: list[int] = []
        self._size: int = 0
        for content in contents:
            self.add(content)

    def add(self, content: Json) -> None:
        """Adds a turn, and removes the oldest ones until the rest fits; never the new one."""
        self.contents.append(content)
        self._sizes.append(characters(content))
        self._size += self._sizes[-1]
        while self._size > MAX_HISTORY_CHARACTERS and len(self.contents) > 1:
            self._size -= self._sizes.pop(0)
            del self.contents[0]


def characters(content: Json) -> int:
    parts = messages(json_field(content, "parts"))
    media = [message(json_field(part, "inlineData")) for part in parts]
    return (
        OVERHEAD_CHARACTERS
        + sum(len(text(part.get("text"))) for part in parts)
        + sum(len(text(blob.get("data"))) for blob in media)
    )


@dataclass(slots=True)
class SavedSession:
    """The history of a session that can be resumed by its handle."""

    name: str
    history: list[Json]
    expires: float
    size: int = 1


SavedSessions = ExpiringStore[SavedSession]


@dataclass(slots=True)
class LiveSession:
    """`demanded` is the setup of the ephemeral token, which takes precedence over the client's. Methods raise
    LiveClose."""

    calls: Calls
    saved: SavedSessions
    version: str
    demanded: Json
    now: float
    setup: Json = field(default_factory=dict[str, object])
    history: History = field(default_factory=History)
    turn_parts: list[Json] = field(default_factory=list[Json])
    media_bytes: int = 0

    def receive(self, frame: bytes) -> Iterator[Outgoing]:
        try:
            kind, given = parse(frame)
            if (kind == "setup") == bool(self.setup):
                raise invalid("setup must be the first message and only the first.")
            match kind:
                case "setup":
                    yield from self.open(given)
                case "clientContent":
                    for turn in messages(json_field(given, "turns")):
                        self.history.add(turn)
                    if json_field(given, "turnComplete") is True:
                        yield from self.answer()
                case "realtimeInput":
                    yield from self.receive_realtime_input(given)
                case _:
                    results = messages(json_field(given, "functionResponses"))
                    parts = [{"functionResponse": result} for result in results]
                    self.history.add({"role": "user", "parts": parts})
                    yield from self.answer()
        except GoogleError as error:
            raise close_for(error) from error

    def open(self, given: Json) -> Iterator[Outgoing]:
        # The client cannot override the setup of its token.
        self.setup = given | self.demanded
        model = text(json_field(self.setup, "model")).removeprefix("models/")
        probe: Json = {"contents": [{"parts": [{"text": "hi"}]}]}
        # Only for validation: an unknown model or an invalid configuration closes the session at once.
        self.calls.call(self.request() | probe, self.version, model, METHOD)
        if handle := text(json_field(message(json_field(self.setup, "sessionResumption")), "handle")):
            found = self.saved.get(handle)
            if found is None:
                raise GoogleError(404, "BidiGenerateContent session not found")
            self.history = History(found.history)
        yield 0.0, {"setupComplete": {}}

    def request(self) -> Json:
        kept = ("systemInstruction", "tools", "generationConfig")
        return {name: value for name in kept if (value := json_field(self.setup, name)) is not None}

    def receive_realtime_input(self, given: Json) -> Iterator[Outgoing]:
        """Handles `realtimeInput`: text is a turn of its own, media are collected until the turn ends."""
        media = [message(json_field(given, name)) for name in ("audio", "video")]
        media += messages(json_field(given, "mediaChunks"))
        for blob in media:
            if blob:
                self.turn_parts.append({"inlineData": blob})
                self.media_bytes += len(text(blob.get("data")))
        if self.media_bytes > MAX_MEDIA_BYTES:
            raise invalid("The audio input of one turn is too long.")
        if written := text(json_field(given, "text")):
            self.turn_parts.append({"text": written})
        ended = json_field(given, "audioStreamEnd") is True or json_field(given, "activityEnd") is not None
        if self.turn_parts and (ended or written):
            self.history.add({"role": "user", "parts": self.turn_parts})
            if not written and json_field(self.setup, "inputAudioTranscription") is not None:
                yield 0.0, {"serverContent": {"inputTranscription": {"text": "(silence)"}}}
            self.turn_parts, self.media_bytes = [], 0
            yield from self.answer()

    def answer(self) -> Iterator[Outgoing]:
        """Generates the model's turn."""
        model = text(json_field(self.setup, "model")).removeprefix("models/")
        asked = self.request() | {"contents": self.history.contents}
        call = self.calls.call(asked, self.version, model, METHOD)
        if call.command is Command.ERROR:
            raise GoogleError(500, "Internal error encountered.")
        generated = respond(call)
        parts = [part for item in generated.candidates[:1] for part in item.unary().deltas[0].parts]
        if call.command is Command.CUT:
            raise LiveClose(None)
        if call.command is Command.SLOW:
            yield SLOW_SECONDS, {"serverContent": {}}
        calls = [part["functionCall"] for part in parts if "functionCall" in part]
        yield from self.tool_call(calls) if calls else self.speak(generated)
        self.history.add({"role": "model", "parts": parts})
        yield 0.0, {"serverContent": {"generationComplete": True}}
        yield 0.0, {"serverContent": {"turnComplete": True}, "usageMetadata": self.usage(generated)}
        if json_field(self.setup, "sessionResumption") is not None:
            yield 0.0, {"sessionResumptionUpdate": {"newHandle": self.save(), "resumable": True}}

    def tool_call(self, calls: list[object]) -> Iterator[Outgoing]:
        identified = [{"id": str(uuid.uuid4()), **message(call)} for call in calls]
        yield 0.0, {"toolCall": {"functionCalls": identified}}

    def speak(self, generated: GenerateResponse) -> Iterator[Outgoing]:
        pieces = [delta for item in generated.candidates[:1] for delta in item.deltas]
        # The delays are those of the longest candidate, but only the first one is sent.
        for seconds, delta in zip(chunk_delays(generated), pieces, strict=False):
            if not self.audible:
                yield seconds, {"serverContent": {"modelTurn": {"role": "model", "parts": delta.parts}}}
                continue
            written = "".join(text(part.get("text")) for part in delta.parts)
            if json_field(self.setup, "outputAudioTranscription") is not None:
                yield 0.0, {"serverContent": {"outputTranscription": {"text": written}}}
            blob: Json = {"mimeType": "audio/pcm;rate=24000", "data": SILENCE}
            parts: list[Json] = [{"inlineData": blob}]
            yield seconds, {"serverContent": {"modelTurn": {"role": "model", "parts": parts}}}

    @property
    def audible(self) -> bool:
        config = message(json_field(self.setup, "generationConfig"))
        return "AUDIO" in str(json_field(config, "responseModalities")).upper()

    def usage(self, generated: GenerateResponse) -> Json:
        """The usage of the turn: its prompt is the whole history. As recorded, the total does not include
        thoughts."""
        prompt, thoughts = generated.call.prompt, generated.thoughts
        deltas = generated.candidates[0].deltas if generated.candidates else []
        length = deltas[-1].tokens if deltas else 0
        spoken = (
            TokenCounts(AUDIO=TOKENS_PER_SILENCE * len(deltas)) if self.audible else TokenCounts(TEXT=length)
        )
        counts: Json = {
            "promptTokenCount": prompt.total(),
            "responseTokenCount": spoken.total(),
            "totalTokenCount": prompt.total() + spoken.total(),
            "promptTokensDetails": token_details(prompt),
            "responseTokensDetails": token_details(spoken),
            "thoughtsTokenCount": thoughts,
        }
        return {name: value for name, value in counts.items() if value}

    def save(self) -> str:
        handle = uuid.uuid4().hex
        self.saved.put(SavedSession(handle, list(self.history.contents), self.now + 2 * 3600))
        return handle


def parse(frame: bytes) -> tuple[str, Json]:
    """The kind of a client's message, and its content. Raises GoogleError (400)."""
    try:
        document = message(decode(frame))
    except (ValueError, RecursionError) as error:
        raise invalid_payload("Expected a JSON object.") from error
    found = [kind for kind in KINDS if json_field(document, kind) is not None]
    if len(found) != 1:
        named = next(iter(document), "")
        raise invalid_payload(f'Unknown name "{named}": Cannot find field.')
    return found[0], message(json_field(document, found[0]))
