"""What Google's methods are called, and what their calls cost. Sources: Google's discovery documents v1,
v1beta, v1alpha, the client libraries, and OpenAI's reference for what lies under `openai/`."""

from __future__ import annotations

from enum import Enum

from gatekeeper.gemini.spelling import Names


class Charge(Enum):
    """What a finished call of a route costs."""

    FREE = "free"  # nothing, and that is known
    METERED = "metered"  # what the usage in its answer says
    UNKNOWN = "unknown"  # something, but not what a usage says (or nobody knows)


# Actions on a model, by what their usage counts. A batch is priced by the usage of its answers too, but they
# come long after the call that orders it, in another one: what that call costs is not known.
GENERATING = frozenset({"generateContent", "streamGenerateContent", "generateAnswer", "batchGenerateContent"})
EMBEDDING = frozenset({"embedContent", "batchEmbedContents", "asyncBatchEmbedContent"})
BATCHES = frozenset({"batchGenerateContent", "asyncBatchEmbedContent"})
# Billing FAQ: requests to count tokens are not billed.
FREE_ACTIONS = frozenset({"countTokens", "countTextTokens", "countMessageTokens", "transferOwnership"})

# `{models|tunedModels|dynamic}/{id}:{action}`; an action that is not here is billable and unknown.
METERED_ACTIONS = (GENERATING | EMBEDDING) - BATCHES
MODEL_ACTIONS: dict[str, Charge] = {
    **dict.fromkeys(METERED_ACTIONS, Charge.METERED),
    **dict.fromkeys(FREE_ACTIONS, Charge.FREE),
}

# Collections whose methods are free to call (of `models` there are only reads). The others cost something on
# create or by a custom verb, and so does a custom verb that is not known to be free, whatever its collection.
FREE_COLLECTIONS = frozenset(
    {
        "models", "files", "generatedFiles", "operations", "batches", "corpora", "tunedModels", "auth_tokens",
        "agents", "environments", "webhooks", "permissions", "documents", "chunks", "ragStores",
    }
)  # fmt: skip
COSTLY_COLLECTIONS = frozenset(
    {
        "cachedContents", "fileSearchStores", "interactions", "dynamic", "triggers", "executions",
        "credentials", "decisions", "voices",
    }
)  # fmt: skip
FREE_VERBS = frozenset(
    {
        "create", "update", "patch", "upload", "register",
        "download", "cancel", "query", "batchCreate", "batchUpdate",
        "batchDelete", "ping", "rotateSigningSecret", "updateEmbedContentBatch", "updateGenerateContentBatch",
    }
)  # fmt: skip

# The rest of Google's names: actions and verbs that cost something, and OpenAI's ways to say the same.
COSTLY_NAMES = BATCHES | frozenset(
    {
        "predict", "predictLongRunning", "generateText", "generateMessage", "embedText", "batchEmbedText",
        "importFile", "uploadToFileSearchStore",
    }
)  # fmt: skip
OPENAI_ACTIONS = frozenset(
    {
        "chat/completions", "completions", "responses", "embeddings", "images/generations", "images/edits",
        "videos", "batches", "files", "models", "audio/speech", "audio/transcriptions",
    }
)  # fmt: skip

# Google has these without `openai/` too
OPENAI_ONLY = OPENAI_ACTIONS - {"batches", "files", "models"}

NAMES = Names(
    metered=METERED_ACTIONS,
    others=FREE_ACTIONS
    | FREE_COLLECTIONS
    | COSTLY_COLLECTIONS
    | FREE_VERBS
    | COSTLY_NAMES
    | {"openai", *(part for action in OPENAI_ACTIONS for part in action.split("/"))},
)

READING_VERBS = frozenset({"list", "get", "delete", "options"})


def charge_of(action: str) -> Charge:
    """What calls of an action cost, by its name alone: `generateContent`, `files.list`."""
    *collections, verb = action.split(".")
    if not collections:
        return MODEL_ACTIONS.get(action, Charge.UNKNOWN)
    read = verb in READING_VERBS and (FREE_COLLECTIONS | COSTLY_COLLECTIONS).issuperset(collections)
    write = verb in FREE_VERBS and FREE_COLLECTIONS.issuperset(collections) and collections != ["models"]
    return Charge.FREE if read or write else Charge.UNKNOWN
