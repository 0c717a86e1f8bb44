"""The resources related to the Interactions API: webhooks, triggers, agents, environments, voices and
credentials. They are only stored: no event is delivered, and a trigger only runs on request, not on its
schedule."""

from __future__ import annotations

import secrets
from dataclasses import replace
from functools import partial

from gatekeeper.sandbox.collection import IDENTIFIED, Collection
from gatekeeper.sandbox.errors import invalid
from gatekeeper.sandbox.google_json import Json, message, text
from gatekeeper.sandbox.http import HttpResponse, Request, json_response
from gatekeeper.sandbox.interactions import Interactions
from gatekeeper.sandbox.routing import Parameters, Route
from gatekeeper.sandbox.store import Clock

# The time fields of environments have other names.
DATED = replace(IDENTIFIED, created="created", updated="updated")
SHOWN_CHARACTERS = 10  # of a signing secret that are shown


class Projects:
    def __init__(self, clock: Clock, interactions: Interactions) -> None:
        self._interactions = interactions
        make = partial(Collection, clock, style=IDENTIFIED)
        self.webhooks = make("webhooks", defaults=webhook)
        self.triggers = make("triggers", defaults=trigger)
        self.executions = make("triggers/{id}/executions", listed="trigger_executions", parent=self.triggers)
        self.kept = (
            make("agents"),
            make("environments", style=DATED, defaults=lambda _, __: {"status": "active"}),
            make("voices"),
            make("credentials", defaults=lambda _, __: {"status": "active"}),
        )

    def routes(self) -> tuple[Route, ...]:
        webhook, route = f"{self.webhooks.path}/{{id}}", self.webhooks.route
        return (
            # Before the routes of the collection, because the first match is used.
            route("POST", self.webhooks.path, self.create_webhook),
            *self.webhooks.routes(),
            route("POST", f"{webhook}:ping", self.ping),
            route("POST", f"{webhook}:rotateSigningSecret", self.rotate),
            *self.triggers.routes(),
            route("POST", self.executions.path, self.run),
            *self.executions.routes(),
            *(item for kept in self.kept for item in kept.routes()),
        )

    def create_webhook(self, request: Request, at: Parameters) -> HttpResponse:
        """Creates a webhook. Only this response has its secret."""
        body = request.json()
        if not text(body.get("uri")):
            raise invalid("uri must be specified.")
        secret = new_secret()
        record = self.webhooks.make(at.path, body | {"signing_secrets": [shown(secret)]})
        return json_response(record.document | {"new_signing_secret": secret})

    def ping(self, _request: Request, at: Parameters) -> HttpResponse:
        self.webhooks.require(at.path)
        return json_response({})

    def rotate(self, _request: Request, at: Parameters) -> HttpResponse:
        record, secret = self.webhooks.require(at.path), new_secret()
        self.webhooks.put(record.name, record.document | {"signing_secrets": [shown(secret)]})
        return json_response({"secret": secret})

    def run(self, _request: Request, at: Parameters) -> HttpResponse:
        """Runs the trigger's interaction now."""
        parent = self.triggers.require(at.path.removesuffix("/executions"))
        asked = message(parent.document.get("interaction")) | {"background": True}
        done: Json = {
            "trigger_id": parent.name.rpartition("/")[2],
            "interaction_id": self._interactions.start(asked, at.version).name,
            "status": "completed",
        }
        return json_response(self.executions.make(at.path, done).document)


def webhook(_body: Json, _name: str) -> Json:
    return {"state": "enabled"}


def trigger(body: Json, _name: str) -> Json:
    """Raises GoogleError (400)."""
    if not message(body.get("interaction")):
        raise invalid("interaction must be specified.")
    return {"status": "active", "time_zone": text(body.get("time_zone")) or "UTC"}


def new_secret() -> str:
    """A random secret in the format of Standard Webhooks."""
    return f"whsec_{secrets.token_urlsafe(32)}"


def shown(secret: str) -> Json:
    return {"truncated_secret": f"{secret[:SHOWN_CHARACTERS]}..."}
