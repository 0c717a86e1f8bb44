"""Two keys, every route of Google's that names or lists a resource: neither sees or touches what is the
other's.

The routes are those of `tests/gemini/methods.tsv`, and of Google's whole table where it lies beside the
recordings.
"""

from __future__ import annotations

import json
import os
import re
from itertools import cycle
from pathlib import Path

import pytest
from rig.gateway import Running
from rig.owning import owns
from rig.standin import Reply, StandIn
from rig.wire import Answer, exchange

from gatekeeper.gemini.resource_names import COLLECTIONS_WITH_IDS, owned_resource
from gatekeeper.gemini.routes import route

# Of what nobody has made through it keys see nothing.
pytestmark = pytest.mark.settings(unowned="deny")

METHODS = Path(__file__).parents[1] / "gemini" / "methods.tsv"
GOOGLES = Path(os.environ.get("GATEKEEPER_RECORDINGS", "")).parent / "routes.tsv"
VERSIONS = ("v1", "v1beta", "v1alpha")
# Whose ids are nobody's secret.
OF_NOBODY = ("models", "dynamic")
PARAMETER = re.compile(r"\{\+?(\w+)(?:=[^}]*)?\}")


def own_routes() -> set[tuple[str, str]]:
    lines = [line.split("\t") for line in METHODS.read_text().splitlines()[1:]]
    versions = cycle(VERSIONS)
    return {(line[1], line[2].replace("{v}", next(versions))) for line in lines}


def googles_routes() -> set[tuple[str, str]]:
    """Those of the whole table, with an id for each of their parameters."""
    if not GOOGLES.is_file():
        return set()
    lines = [line.split("\t") for line in GOOGLES.read_text().splitlines()[1:]]
    found = {(line[1], line[2]) for line in lines}
    plain = {(method, re.sub(r"\{\w+=([^}]*)\}", r"\1", path).replace("*", "x")) for method, path in found}
    return {(method, PARAMETER.sub("x", path)) for method, path in plain}


ROUTES = sorted(
    (method, path)
    for method, path in own_routes() | googles_routes()
    if method != "WEBSOCKET" and not path.startswith("/ws/")
)


def named(path: str) -> str | None:
    """The resource that the path names, as the ledger has it."""
    found = route("GET", path.encode(), b"")
    return found.resource and owned_resource(found.resource)


def names_of_others() -> list[str]:
    """All that the routes name: the one key has made it."""
    return sorted({name for _, path in ROUTES if (name := named(path))})


class Upstream:
    """Has all of it, and does whatever it is asked to."""

    def __init__(self) -> None:
        self.listed: list[dict[str, str]] = []

    async def __call__(self, reply: Reply) -> None:
        await reply.json(json.dumps({"resources": self.listed}).encode())


class Keys:
    """`mine` has made everything, `other` only `OWN`."""

    def __init__(self, gateway: Running, mine: str, other: str) -> None:
        self.gateway, self.mine, self.other = gateway, mine, other

    async def ask(self, secret: str, line: str, body: object = None) -> Answer:
        text = None if body is None else json.dumps(body).encode()
        fields = [f"x-goog-api-key: {secret}", "content-type: application/json"]
        method, path = line.split()
        return await exchange(self.gateway.url, f"{method} /gemini{path}", headers=fields, body=text)

    def made(self, secret: str, *names: str) -> None:
        owns(self.gateway, secret, *names)


@pytest.fixture
async def keys(guarded: Running) -> Keys:
    made = Keys(guarded, await guarded.key(), await guarded.key())
    made.made(made.mine, *names_of_others())
    return made


async def test_what_a_path_names_is_not_there_for_another_key(keys: Keys, google: StandIn) -> None:
    google.script = Upstream()
    lines = [f"{method} {path}" for method, path in ROUTES if named(path)]
    assert len(lines) > 100
    for line in lines:
        answer = await keys.ask(keys.other, line, None if line.startswith(("GET", "DELETE")) else {})
        assert (line, answer.status, answer.reason) == (line, 404, "GATEKEEPER_NOT_FOUND")
    assert google.asked == []
    for line in lines:
        keys.made(keys.mine, str(named(line.split()[1])))  # it may have been deleted
        answer = await keys.ask(keys.mine, line, None if line.startswith(("GET", "DELETE")) else {})
        assert (line, answer.status) == (line, 200)
    assert len(google.asked) == len(lines)


async def test_lists_have_a_keys_own_only(keys: Keys, google: StandIn) -> None:
    google.script = upstream = Upstream()
    lists = [
        path
        for method, path in ROUTES
        if method == "GET"
        and (route("GET", path.encode(), b"").action or "").endswith(".list")
        and not named(path)
    ]
    lists = [path for path in lists if not path.endswith("/models")]
    assert len(lists) > 10
    for path in lists:
        *_, collection = path.split("/")
        parent = "" if "/models/" not in path else path[path.index("models/") :] + "/"
        names = [
            parent + "x" if parent else f"{collection}/x",
            parent + "own" if parent else f"{collection}/own",
        ]
        keys.made(keys.mine, names[0])
        keys.made(keys.other, names[1])
        has_ids = collection in COLLECTIONS_WITH_IDS
        upstream.listed = [{"id" if has_ids else "name": name} for name in names]
        for secret, own, foreign in ((keys.mine, *names), (keys.other, *names[::-1])):
            answer = await keys.ask(secret, f"GET {path}")
            assert (path, answer.status) == (path, 200)
            assert f'"{own}"' in answer.body.decode(), path
            assert f'"{foreign}"' not in answer.body.decode(), path
