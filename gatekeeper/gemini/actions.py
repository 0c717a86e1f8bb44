"""The names of Google's methods, and how their calls are billed. Sources: Google's discovery documents v1,
v1beta, v1alpha, the client libraries, and OpenAI's reference for the paths under `openai/`."""

from __future__ import annotations

from enum import Enum

from gatekeeper.gemini.evasion import KnownNames


class Billing(Enum):
    """How a finished call of a route is billed."""

    FREE = "free"  # it is known to cost nothing
    METERED = "metered"  # by the usage in its response
    UNKNOWN = "unknown"  # it may cost something that no usage reports


# Actions on a model, by what their usage counts. A batch is priced by the usage of its responses too, but a
# later call fetches them: what the call that creates the batch costs is not known.
GENERATING = frozenset({"generateContent", "streamGenerateContent", "generateAnswer", "batchGenerateContent"})
EMBEDDING = frozenset({"embedContent", "batchEmbedContents", "asyncBatchEmbedContent"})
BATCHES = frozenset({"batchGenerateContent", "asyncBatchEmbedContent"})
# Their path names the model, and prompts are long, and calls many: of their bodies only a cached content and
# the token of a long decode are looked for, unless a limit needs more.
PATH_MODEL_ACTIONS = frozenset({"generateContent", "streamGenerateContent", "generateAnswer"})
# Billing FAQ: requests to count tokens are not billed.
FREE_ACTIONS = frozenset({"countTokens", "countTextTokens", "countMessageTokens", "transferOwnership"})

# What is billed of the calls whose response says it, or of which the request does: tokens, or pieces.
OPENAI_GENERATING = frozenset({"openai.chat.completions", "openai.completions", "openai.responses"})
OPENAI_EMBEDDING = "openai.embeddings"
# `interactions` and `live` are what a call that is described by hand says (`prices quote --call`).
INTERACTIONS = frozenset({"interactions.create", "interactions"})
# Their streams tell the usage in the last event only.
USAGE_AT_END = OPENAI_GENERATING | INTERACTIONS
LIVE_ACTIONS = frozenset({"BidiGenerateContent", "BidiGenerateContentConstrained", "live"})
IMAGE_ACTIONS = frozenset({"predict", "openai.images.generations", "openai.images.edits"})
# They answer with an operation; the videos are charged once it has succeeded.
VIDEO_ACTIONS = frozenset({"predictLongRunning", "openai.videos"})
MEDIA_ACTIONS = IMAGE_ACTIONS | VIDEO_ACTIONS
CACHE_STORAGE_ACTION = "cache.storage"
# They cost nothing by themselves: the storage of what they make is charged in rows of its own.
CACHE_CREATE, CACHE_UPDATE = "cachedContents.create", "cachedContents.patch"
# Documents are charged as they are embedded; a store that is made has none.
STORE_CREATE = "fileSearchStores.create"
# What it asks for is in a file: it is of the kind that its model is for.
OPENAI_BATCH = "openai.batches"

# Not METERED by their routes, but their calls get a cost: by the response, the request, or the operation that
# they begin. Nothing bounds that of the others (batches), or it grows by the hour (caches).
PRICED_ACTIONS = OPENAI_GENERATING | INTERACTIONS | MEDIA_ACTIONS | LIVE_ACTIONS | {OPENAI_EMBEDDING}

# `{models|tunedModels|dynamic}/{id}:{action}`; an action that is not here is billable and unknown.
METERED_ACTIONS = (GENERATING | EMBEDDING) - BATCHES
MODEL_ACTIONS: dict[str, Billing] = {
    **dict.fromkeys(METERED_ACTIONS, Billing.METERED),
    **dict.fromkeys(FREE_ACTIONS, Billing.FREE),
}

# Collections whose methods are free to call (of `models` only reads exist). In the others `create` and custom
# verbs cost something; in every collection so does a custom verb that is not known to be free.
FREE_COLLECTIONS = frozenset(
    {
        "models", "files", "generatedFiles", "operations", "batches", "corpora", "tunedModels", "auth_tokens",
        "agents", "environments", "webhooks", "permissions", "documents", "chunks", "ragStores",
    }
)  # fmt: skip
BILLABLE_COLLECTIONS = frozenset(
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

# The rest of Google's names: actions and verbs that cost something, and OpenAI's names for the same.
BILLABLE_NAMES = BATCHES | frozenset(
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

# Those that Google has under `openai/` only; the three others exist without it too.
OPENAI_ONLY = OPENAI_ACTIONS - {"batches", "files", "models"}

NAMES = KnownNames(
    metered=METERED_ACTIONS,
    others=FREE_ACTIONS
    | FREE_COLLECTIONS
    | BILLABLE_COLLECTIONS
    | FREE_VERBS
    | BILLABLE_NAMES
    | {"openai", *(part for action in OPENAI_ACTIONS for part in action.split("/"))},
)

# To cancel a background interaction costs nothing more: what it used was the cost of its creation.
FREE_STANDARD_VERBS = frozenset({"list", "get", "delete", "options", "cancel"})


def billing_of(action: str) -> Billing:
    """How calls of an action are billed, by its name alone: `generateContent`, `files.list`."""
    *collections, verb = action.split(".")
    if not collections:
        return MODEL_ACTIONS.get(action, Billing.UNKNOWN)
    read = verb in FREE_STANDARD_VERBS and (FREE_COLLECTIONS | BILLABLE_COLLECTIONS).issuperset(collections)
    # Google has no writes on models: one there is nobody's, and not free by its name.
    write = verb in FREE_VERBS and FREE_COLLECTIONS.issuperset(collections) and collections != ["models"]
    return Billing.FREE if read or write or action == STORE_CREATE else Billing.UNKNOWN
