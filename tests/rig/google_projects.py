"""Google as several projects with keys of their own, as a script of the stand-in: each key has a state, each
project its files, and the log says which call was answered, and so charged, how often."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import trio

from rig.gateway import Running, running
from rig.standin import Reply, StandIn

INFO = "type.googleapis.com/google.rpc.ErrorInfo"
DAY = "GenerateRequestsPerDayPerProjectPerModel-FreeTier"
MINUTE = "GenerateRequestsPerMinutePerProjectPerModel-FreeTier"
USAGE = {"promptTokenCount": 7, "candidatesTokenCount": 3, "totalTokenCount": 10}
MODEL = "gemini-2.5-flash"
GENERATE = f"POST /gemini/v1beta/models/{MODEL}:generateContent"

State = Callable[[Reply], Awaitable[bool]]
"""Answers a request, or returns False for the usual answer."""


def error(status: int, message: str, *details: dict[str, Any]) -> State:
    body = json.dumps({"error": {"code": status, "message": message, "status": "S", "details": details}})

    async def answer(reply: Reply) -> bool:
        await reply.json(body.encode(), status)
        return True

    return answer


def quota(quota_id: str, retry: str = "30s", model: str = MODEL) -> State:
    """Of the model's calls; files have other quotas."""
    violation = {"quotaId": quota_id, "quotaDimensions": {"model": model}}
    exceeded = error(
        429,
        "You exceeded your current quota.",
        {"@type": "type.googleapis.com/google.rpc.QuotaFailure", "violations": [violation]},
        {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": retry},
    )

    async def answer(reply: Reply) -> bool:
        return b"ontent" in reply.asked.target and await exceeded(reply)

    return answer


INVALID = error(
    400, "API key not valid. Please pass a valid API key.", {"@type": INFO, "reason": "API_KEY_INVALID"}
)
UNSUPPORTED = error(401, "No.", {"@type": INFO, "reason": "ACCESS_TOKEN_TYPE_UNSUPPORTED"})
SUSPENDED = error(403, "Consumer has been suspended.", {"@type": INFO, "reason": "CONSUMER_SUSPENDED"})


def slow(seconds: float) -> State:
    async def wait(_reply: Reply) -> bool:
        await trio.sleep(seconds)
        return False

    return wait


async def hang_up(reply: Reply) -> bool:
    await reply.stream.aclose()
    return True


class GoogleProjects:
    """`projects` by key's secret; `states` by key's secret."""

    def __init__(self, projects: dict[str, str]) -> None:
        self.projects = projects
        self.states: dict[str, State] = {}
        self.files: dict[str, set[str]] = {project: set() for project in projects.values()}
        self.charged: Counter[str] = Counter()  # by the request's body
        self.keys: list[str] = []  # of all requests, in their order
        self.made = 0

    async def __call__(self, reply: Reply) -> None:
        (secret,) = reply.asked.header("x-goog-api-key")
        self.keys.append(secret)
        if (state := self.states.get(secret)) and await state(reply):
            return
        target = reply.asked.target.decode().partition("?")[0]
        files = self.files[self.projects[secret]]
        if target.endswith("/files") and reply.asked.method == "POST":
            self.made += 1
            files.add(name := f"files/f{self.made}")
            await reply.json(json.dumps({"file": {"name": name}}).encode())
        elif target.endswith("/files"):
            await self.listed(reply, sorted(files))
        elif "/files/" in target and not any(target.endswith(name) for name in files):
            await error(403, "You do not have permission to access the File, or it may not exist.")(reply)
        elif "/files/" in target:
            await reply.json(json.dumps({"name": target.removeprefix("/v1beta/")}).encode())
        elif missing := [name for name in named(reply.asked.body) if name not in files]:
            await error(403, f"You do not have permission to access the File {missing[0]}.")(reply)
        elif reply.asked.method == "POST":
            self.charged[reply.asked.body.decode()] += 1
            await self.generated(reply)
        else:
            await reply.json(b'{"models": []}')

    async def listed(self, reply: Reply, names: list[str]) -> None:
        """One file a page, whatever is asked for."""
        (token,) = parse_qs(urlsplit(reply.asked.target.decode()).query).get("pageToken", ["0"])
        at = int(token)
        page: dict[str, Any] = {"files": [{"name": name} for name in names[at : at + 1]]}
        more = {"nextPageToken": str(at + 1)} if at + 1 < len(names) else {}
        await reply.json(json.dumps(page | more).encode())

    async def generated(self, reply: Reply) -> None:
        body = json.dumps({"candidates": [], "usageMetadata": USAGE, "modelVersion": MODEL}).encode()
        if b"stream" in reply.asked.target:
            await reply.chunked([b"data: " + body + b"\r\n\r\n"])
        else:
            await reply.json(body)


def named(body: bytes) -> list[str]:
    """The files that a request's body names."""
    try:
        parts = json.loads(body)["contents"][0]["parts"]
    except (ValueError, LookupError, TypeError):
        return []
    uris = [part["fileData"]["fileUri"] for part in parts if "fileData" in part]
    return [f"files/{uri.rpartition('files/')[2]}" for uri in uris]


@asynccontextmanager
async def pooled(
    folder: Path, google: StandIn, keys: dict[str, str], more: str = "", **flags: Any
) -> AsyncIterator[tuple[Running, GoogleProjects]]:
    """A gateway with these keys, by label, each of a project; its secret is `secret-of-LABEL`. `more` is
    added to each key's table."""
    projects = GoogleProjects({f"secret-of-{label}": project for label, project in keys.items()})
    google.script = projects
    config = folder / "pool.toml"
    config.write_text(
        "".join(
            f'[[google_keys]]\nlabel = "{label}"\nkey = "secret-of-{label}"\nproject = "{project}"\n{more}\n'
            for label, project in keys.items()
        ),
        encoding="utf-8",
    )
    given = {"config": config, "gemini_api_key": None, **flags}
    async with running(folder / "pooled", google.url, **given) as gateway:
        yield gateway, projects
