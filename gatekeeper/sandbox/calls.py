"""Calls on a model that writes: generate, stream, count. Each takes what came and gives what goes."""

from __future__ import annotations

import secrets
from dataclasses import dataclass

from gatekeeper.sandbox import config, faults
from gatekeeper.sandbox.caches import Caches
from gatekeeper.sandbox.dice import dice
from gatekeeper.sandbox.errors import ApiError, invalid
from gatekeeper.sandbox.exchange import Answer, Request, json_answer
from gatekeeper.sandbox.faults import OVERLOADED, Command
from gatekeeper.sandbox.generate import Call, Response, respond
from gatekeeper.sandbox.models import Model, answering
from gatekeeper.sandbox.streams import at_once, streamed, waits
from gatekeeper.sandbox.tokens import Find, Tally, details, tally
from gatekeeper.sandbox.wire import Json, field, message, messages, text

ROLES = ("", "user", "model", "function")
MOST_CHARACTERS_READ = 2_000  # of the user's text: enough to choose an answer by


@dataclass(frozen=True, slots=True)
class Calls:
    """`caches` and `find` are what a request may refer to: cached contents, and files by their URI."""

    caches: Caches
    find: Find

    def generate(self, request: Request, version: str, model: str) -> Answer:
        call = self.call(request, version, model)
        if call.order is Command.ERROR:
            raise ApiError(*OVERLOADED)
        response = respond(call)
        answer = at_once(response.at_once(), pace(response), request, call.config.tier)
        return faults.disturbed(call.order, answer)

    def stream(self, request: Request, version: str, model: str) -> Answer:
        call = self.call(request, version, model)
        response = respond(call)
        answer = streamed(response.chunks(), pace(response), request, call.config.tier, call.order)
        return faults.disturbed(call.order, answer)

    def call(self, request: Request, version: str, name: str) -> Call:
        """The generate request, read and checked. Raises ApiError."""
        model = answering(name, version, "generateContent")
        body = request.json()
        contents = checked(body)
        ask = last_ask(contents)
        order = faults.command(ask)
        faults.refuse(order, name, version, "generateContent")
        cached = self.cached(body, model)
        prompt = tally(body, self.find) + cached
        if prompt.total() > model.inputs:
            raise invalid(
                f"The input token count exceeds the maximum number of tokens allowed ({model.inputs})."
            )
        return Call(model, body, config.read(body), ask, prompt, cached, secrets.token_urlsafe(17), order)

    def cached(self, body: Json, model: Model) -> Tally:
        """Tokens of the cached content that `body` builds on. Raises ApiError if the two do not fit."""
        name = text(field(body, "cachedContent"))
        if not name:
            return Tally()
        cache = self.caches.held(name)
        if cache.model != model.id:
            raise invalid(
                f"Model used by GenerateContent request (models/{model.id}) and CachedContent "
                f"(models/{cache.model}) has to be the same."
            )
        if any(field(body, part) for part in ("systemInstruction", "tools", "toolConfig")):
            raise invalid(
                "CachedContent can not be used with GenerateContent request setting "
                "system_instruction, tools or tool_config."
            )
        return cache.tokens

    def count(self, request: Request, version: str, model: str) -> Answer:
        """countTokens takes contents, or a whole generate request, whose prompt it then counts."""
        known = answering(model, version, "countTokens")
        body = request.json()
        body = message(field(body, "generateContentRequest")) or body
        order = faults.command(last_ask(checked(body)))
        faults.refuse(order, model, version, "countTokens")
        cached = self.cached(body, known)
        total = tally(body, self.find) + cached
        counts: Json = {
            "totalTokens": total.total(),
            "promptTokensDetails": details(total),
            "cachedContentTokenCount": cached.total(),
        }
        answer = json_answer({name: value for name, value in counts.items() if value})
        return faults.disturbed(order, answer)


def pace(response: Response) -> list[float]:
    """Seconds before each chunk, the same for the same prompt."""
    call = response.call
    return waits(response.length, dice(call.ask, "pace"), call.order)


def checked(body: Json) -> list[Json]:
    """The contents. Raises ApiError (400) for none, for an unknown role and for one without parts."""
    contents = messages(field(body, "contents"))
    if not contents:
        raise invalid("* GenerateContentRequest.contents: contents is not specified\n")
    for at, content in enumerate(contents):
        if text(field(content, "role")) not in ROLES:
            raise invalid("Please use a valid role: user, model.")
        if not messages(field(content, "parts")):
            place = f"GenerateContentRequest.contents[{at}].parts"
            raise invalid(f"* {place}: contents.parts must not be empty.\n")
    return contents


def last_ask(contents: list[Json]) -> str:
    """The last text that the user said, less what is too long to read."""
    for content in reversed(contents):
        if field(content, "role") in (None, "", "user"):
            said = [text(part["text"]) for part in messages(field(content, "parts")) if "text" in part]
            if said:
                return said[-1][:MOST_CHARACTERS_READ]
    return ""
