"""A curl command that makes a call like a recorded one.

The gateway stores neither bodies nor queries nor secrets: the body is a small placeholder that is valid for
the call's action, and the key is in a shell variable.
"""

from __future__ import annotations

import shlex

import msgspec

from gatekeeper.client.call_types import Call
from gatekeeper.client.formats import sanitized

KEY = '"x-goog-api-key: $GATEKEEPER_KEY"'
PLACEHOLDER = "# a placeholder body: the gateway does not store bodies"
NO_PLACEHOLDER = "# fill in the body: the gateway does not store bodies, and none is known for this method"
BODYLESS = frozenset({"GET", "HEAD", "DELETE", "OPTIONS"})
# Live sessions and uploads, which one request cannot repeat.
UNREPEATABLE = ("/ws/", "/upload/", "/resumable/")

CONTENT = {"parts": [{"text": "Hello"}]}
PROMPT: dict[str, object] = {"contents": [CONTENT]}
MESSAGES = [{"role": "user", "content": "Hello"}]


def curl_command(call: Call, url: str) -> str | None:
    """The command for the gateway at `url`; None for what curl cannot repeat: a Live session, an upload."""
    if not call.path or call.path.startswith(UNREPEATABLE):
        return None
    method = call.method or "POST"
    # Without it Google streams one JSON array, which nobody can read before it has ended.
    query = "?alt=sse" if call.action == "streamGenerateContent" else ""
    options = [f"-X {method}" if method != "POST" else "", f"-H {KEY}", *header_options(call)]
    lines: list[str] = []
    if method not in BODYLESS:
        body = placeholder(call)
        lines.append(NO_PLACEHOLDER if body is None else PLACEHOLDER)
        options += [
            "-H 'Content-Type: application/json'",
            f"-d {shlex.quote(msgspec.json.encode(body or {}).decode())}",
        ]
    address = shlex.quote(f"{url}/gemini{sanitized(call.path)}{query}")
    lines.append(" \\\n  ".join(["curl", *filter(None, options), address]).replace("curl \\\n  ", "curl ", 1))
    return "\n".join(lines)


def header_options(call: Call) -> list[str]:
    """The call's tags (those of its key are added anyway) and its end user."""
    headers = {"tags": ",".join(call.tags or ()), "x-gatekeeper-user": call.user_id or ""}
    return [f"-H {shlex.quote(f'{name}: {sanitized(value)}')}" for name, value in headers.items() if value]


def placeholder(call: Call) -> dict[str, object] | None:
    """A small valid body; None where none is known."""
    model = call.model or ""
    media: dict[str, object] = {"instances": [{"prompt": "A key"}]}
    streamed = {"stream": True} if call.stream else {}
    bodies: dict[str, dict[str, object]] = {
        "generateContent": PROMPT,
        "streamGenerateContent": PROMPT,
        "countTokens": PROMPT,
        "embedContent": {"content": CONTENT},
        "batchEmbedContents": {"requests": [{"model": f"models/{model}", "content": CONTENT}]},
        "predict": media,
        "predictLongRunning": media,
        "interactions.create": {"model": model, "input": "Hello", **streamed},
        "openai.chat.completions": {"model": model, "messages": MESSAGES, **streamed},
        "openai.embeddings": {"model": model, "input": "Hello"},
        "openai.images.generations": {"model": model, "prompt": "A key"},
        "cachedContents.create": {"model": f"models/{model}", **PROMPT},
    }
    return bodies.get(call.action or "")
