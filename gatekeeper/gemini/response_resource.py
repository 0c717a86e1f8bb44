"""The resource that a response made or is about, by the name that Google gives it: `files/x`,
`cachedContents/y`, `interactions/z`.

Most resources say their whole `name`; an upload's is that of its `file`. Interactions, webhooks, triggers and
their kin, and OpenAI-style batches, files and videos, say an `id` within their collection instead. The ids of
model responses are none, so an id counts only where the call's action is one of such a collection.

The `name` of an ephemeral token is the token itself: it is never a resource's name here.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from gatekeeper.gemini.json_values import as_object, as_text
from gatekeeper.gemini.response_document import RegisteredFile

# Collections whose resources have an `id`. `name`, where they have it, is free text.
COLLECTIONS_WITH_IDS = frozenset(
    {
        "agents", "batches", "credentials", "environments", "files", "interactions", "triggers", "videos",
        "voices", "webhooks",
    }
)  # fmt: skip

# At most as long as the ledger's column, which is compared as a whole.
_NAME = re.compile(r"(?!(?i:auth_?tokens?/))[A-Za-z][A-Za-z_]{1,39}(?:/[\w.~:@%+=-]{1,200}){1,7}", re.ASCII)
_MAX_LENGTH = 256


def collection_of(action: str | None) -> str | None:
    """The collection that an action's responses have ids of: `interactions.create` interactions,
    `openai.batches` batches. None for all others."""
    name = (action or "").removeprefix("openai.").partition(".")[0]
    return name if name in COLLECTIONS_WITH_IDS and (action or "").count(".") == 1 else None


def resource_name(collection: str | None, name: object, identifier: object, file: object) -> str | None:
    """The resource of a document with these members. A name that is not in the form of Google's is none."""
    found = as_text((as_object(file) or {}).get("name"))
    if found is None and collection and (own := as_text(identifier)):
        found = own if "/" in own else f"{collection}/{own}"
    return _checked(found or as_text(name))


def other_resources(environment: object, files: list[RegisteredFile] | None) -> Iterator[str]:
    """What a document names beside its resource: the environment of an interaction, by its id, and registered
    files."""
    own = as_text(environment)
    for name in (own and f"environments/{own}", *(as_text(file.name) for file in files or ())):
        if checked := _checked(name):
            yield checked


def _checked(name: str | None) -> str | None:
    return name if name and len(name) <= _MAX_LENGTH and _NAME.fullmatch(name) else None
