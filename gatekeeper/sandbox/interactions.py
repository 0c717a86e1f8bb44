"""The Interactions API (https://ai.google.dev/api/interactions-api): create, stream, run in the background,
get, cancel, delete, continue an earlier one.

A background interaction is `in_progress` in the response that creates it and at its first GET, then done. One
with `store: false` has no id and cannot be read. An agent responds like a model. Not simulated: live
interactions, remote environments, MCP servers."""

from __future__ import annotations

import base64
import secrets
from dataclasses import dataclass

from gatekeeper.sandbox.calls import (
    CHUNKS_BEFORE_ERROR,
    Calls,
    apply_fault,
    chunk_delays,
    respond_whole,
    unary_seconds,
)
from gatekeeper.sandbox.errors import OVERLOADED, Command, GoogleError, KeyRefused, invalid
from gatekeeper.sandbox.generate import Call, GenerateResponse, respond
from gatekeeper.sandbox.google_json import Json, message, sorted_json, text
from gatekeeper.sandbox.http import (
    GOOGLE_HEADERS,
    HttpResponse,
    Piece,
    Request,
    error_response,
    response,
    timing_header,
)
from gatekeeper.sandbox.interaction_input import generate_request, input_contents
from gatekeeper.sandbox.interaction_steps import (
    DONE,
    event_bytes,
    events,
    grounding_count,
    interaction_usage,
    status_of,
    steps,
    text_pieces,
)
from gatekeeper.sandbox.routing import Parameters, Route
from gatekeeper.sandbox.store import MAX_TOTAL_BYTES, OVERHEAD_BYTES, Clock, ExpiringStore, format_timestamp

# As long as Google keeps interactions of the paid tier.
TTL = 55 * 24 * 3600.0
# The number of GET requests at which a background interaction is still in progress.
POLLS_UNTIL_DONE = 1
# The model of agents.
AGENT_MODEL = "gemini-3.1-pro-preview"
JSON_TYPE = b"application/json"
# The recorded code of a 429, and likely ones for other statuses.
ERROR_CODES = {
    400: "invalid_request",
    403: "permission_denied",
    404: "not_found",
    429: "too_many_requests",
    503: "unavailable",
    504: "deadline_exceeded",
}


@dataclass(slots=True)
class Interaction:
    """`document` is its final state; `contents` is the history for the next interaction; `size` is that of
    the request, in bytes."""

    name: str
    document: Json
    pieces: list[str]
    contents: list[Json]
    expires: float
    size: int
    polls_until_done: int = 0
    cancelled: bool = False

    def now(self) -> Json:
        """The document in its current state; steps and usage are only in the final one."""
        if self.cancelled or self.polls_until_done:
            hidden = ("steps", "usage", "service_tier")
            early: Json = {name: value for name, value in self.document.items() if name not in hidden}
            return early | {"status": "cancelled" if self.cancelled else "in_progress"}
        return self.document


class Interactions:
    """All interactions, which run as generate calls."""

    def __init__(self, clock: Clock, calls: Calls) -> None:
        self._clock = clock
        self._calls = calls
        self._interactions = ExpiringStore[Interaction](MAX_TOTAL_BYTES, clock)

    def routes(self) -> tuple[Route, ...]:
        path = "/{v}/interactions"
        return (
            Route("POST", path, self.create, render_error=interaction_error),
            Route("GET", f"{path}/{{id}}", self.get, render_error=interaction_error),
            Route("DELETE", f"{path}/{{id}}", self.delete, render_error=interaction_error),
            Route("POST", f"{path}/{{id}}/cancel", self.cancel, render_error=interaction_error),
        )

    def create(self, request: Request, at: Parameters) -> HttpResponse:
        body = request.json()
        call = self.call(body, at.version)
        streamed = body.get("stream") is True
        generated = respond(call) if streamed else respond_whole(call)
        interaction = self.keep(generated, body, request.content.size)
        if streamed:
            answer = stream_response(interaction, generated, call.command)
        else:
            # The response to a background interaction is not delayed.
            wait = 0 if interaction.polls_until_done else unary_seconds(generated)
            answer = response(200, JSON_TYPE, sorted_json(interaction.now()), seconds=wait)
        return apply_fault(call.command, answer)

    def start(self, body: Json, version: str) -> Interaction:
        """Starts an interaction in the background. Raises GoogleError."""
        return self.keep(respond_whole(self.call(body, version)), body, 0)

    def call(self, body: Json, version: str) -> Call:
        """Raises GoogleError."""
        agent = text(body.get("agent"))
        if agent and body.get("background") is not True:
            raise invalid("Agent interactions must run in the background: set background to true.")
        model = AGENT_MODEL if agent else text(body.get("model")).removeprefix("models/")
        if not model:
            raise invalid("Either model or agent must be specified.")
        return self._calls.call(generate_request(body, self.history(body)), version, model)

    def history(self, body: Json) -> list[Json]:
        previous = text(body.get("previous_interaction_id"))
        return self.require(previous).contents if previous else []

    def keep(self, generated: GenerateResponse, body: Json, size: int) -> Interaction:
        interaction = self.interaction(generated, text(body.get("agent")), body)
        interaction.size = OVERHEAD_BYTES + size
        asked = input_contents(body.get("input"))
        interaction.contents = [*self.history(body), *asked, *replied(generated)]
        if body.get("background") is True:
            interaction.polls_until_done = POLLS_UNTIL_DONE
        if body.get("store") is not False:
            self._interactions.put(interaction)
        else:
            # An interaction that is not stored has no id.
            del interaction.document["id"]
        return interaction

    def interaction(self, generated: GenerateResponse, agent: str, body: Json) -> Interaction:
        now, name = self._clock(), interaction_id()
        found, reported = steps(generated), generated.unary()["usageMetadata"]
        written = format_timestamp(now).partition(".")[0] + "Z"
        usage = interaction_usage(message(reported)) | grounding_count(found)
        document: Json = {
            "id": name,
            "object": "interaction",
            **({"agent": agent} if agent else {"model": generated.call.model.id}),
            "status": status_of(generated),
            "created": written,
            "updated": written,
            "service_tier": generated.call.config.tier,
            "steps": found,
            "usage": usage,
        }
        if previous := body.get("previous_interaction_id"):
            document["previous_interaction_id"] = previous
        return Interaction(name, document, text_pieces(generated), [], now + TTL, 0)

    def require(self, name: str) -> Interaction:
        """Raises GoogleError (404)."""
        found = self._interactions.get(name)
        if found is None:
            raise GoogleError(404, f"Interaction with ID '{name}' not found.")
        return found

    def get(self, request: Request, at: Parameters) -> HttpResponse:
        interaction = self.require(at.name)
        if request.query.get("stream") == "true":
            # Reading the events to the last one completes the interaction.
            interaction.polls_until_done = 0
            return replay_response(interaction, request.query.get("last_event_id", ""))
        # The state at this GET; the next one gets the next state.
        document = interaction.now()
        interaction.polls_until_done = max(0, interaction.polls_until_done - 1)
        return response(200, JSON_TYPE, sorted_json(document))

    def cancel(self, _request: Request, at: Parameters) -> HttpResponse:
        interaction = self.require(at.name)
        if not interaction.polls_until_done:
            raise invalid("Only background interactions that are still in progress can be cancelled.")
        interaction.cancelled = True
        return response(200, JSON_TYPE, sorted_json(interaction.now()))

    def delete(self, _request: Request, at: Parameters) -> HttpResponse:
        self._interactions.drop(self.require(at.name).name)
        return response(200, JSON_TYPE, b"{}")


def interaction_id() -> str:
    """A random id in the recorded format."""
    return f"v1_{base64.urlsafe_b64encode(secrets.token_bytes(48)).decode()}"


def replied(generated: GenerateResponse) -> list[Json]:
    """The model's turn, as input of the next interaction."""
    parts = [part for item in generated.candidates[:1] for part in item.unary().deltas[0].parts]
    kept = [part for part in parts if not part.get("thought")]
    return [{"role": "model", "parts": kept}] if kept else []


def stream_response(
    interaction: Interaction, generated: GenerateResponse, command: Command | None
) -> HttpResponse:
    found = list(events(interaction.document, interaction.pieces))
    if command is Command.ERROR:
        error = {"message": OVERLOADED[1], "code": ERROR_CODES[OVERLOADED[0]]}
        # At least the last event is missing: a complete stream would not have failed.
        failure: Json = {"event_type": "error", "error": error}
        found = [*found[: min(CHUNKS_BEFORE_ERROR, len(found) - 1)], failure]
    lines = [event_bytes(event) for event in found]
    delays = iter(chunk_delays(generated))
    # Text is delayed, everything else is sent at once.
    pieces = [
        (next(delays, 0.0) if index == 0 or b"event: step.delta" in line[:18] else 0.0, line)
        for index, line in enumerate(lines)
    ]
    return event_stream(pieces if command is Command.ERROR else [*pieces, (0.0, DONE)])


def replay_response(interaction: Interaction, after: str) -> HttpResponse:
    """All events, each with an id, after the one that the client sends as `last_event_id`."""
    found = events(interaction.document, interaction.pieces)
    numbered = [event | {"event_id": str(number)} for number, event in enumerate(found, 1)]
    # Ids count from 1, so the id of an event is the index of the next one.
    rest = numbered[int(after) :] if after.isdecimal() and len(after) < 10 else numbered
    return event_stream([*((0.0, event_bytes(event)) for event in rest), (0.0, DONE)])


def event_stream(pieces: list[Piece]) -> HttpResponse:
    kind = ((b"content-type", b"text/event-stream"),)
    return HttpResponse(200, (*kind, *timing_header(pieces[0][0]), *GOOGLE_HEADERS), pieces)


def interaction_error(error: GoogleError, request: Request) -> HttpResponse:
    """Errors of the Interactions API have a string as code; those about the key come from Google's front
    end."""
    if isinstance(error, KeyRefused) or error.code not in ERROR_CODES:
        return error_response(error, request)
    document = {"error": {"message": error.message, "code": ERROR_CODES[error.code]}}
    return response(error.code, JSON_TYPE, sorted_json(document))
