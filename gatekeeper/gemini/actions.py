"""The names of Google's methods, and how their calls are billed. Sources: Google's discovery documents v1,
v1beta, v1alpha, the client libraries, and OpenAI's reference for the paths under `openai/`."""

from __future__ import annotations

from enum import Enum

from gatekeeper.gemini.evasion import KnownNames


class Billing(Enum):
    """How a finished call of a route is billed."""

    FREE = "free"  # known to cost nothing
    METERED = "metered"  # billed by the usage in its response
    UNKNOWN = "unknown"  # may be billed in a way that no usage reports


# Actions on a model, grouped by how their usage is priced. A batch is priced by the usage of its responses
# too, but a later call fetches them: the call that creates the batch has no known cost.
GENERATING = frozenset({"generateContent", "streamGenerateContent", "generateAnswer", "batchGenerateContent"})
EMBEDDING = frozenset({"embedContent", "batchEmbedContents", "asyncBatchEmbedContent"})
BATCHES = frozenset({"batchGenerateContent", "asyncBatchEmbedContent"})
# The path names the model. Because these calls are frequent and their prompts long, the body is only searched
# for a cached content and a continuation token, unless a limit needs more of it.
PATH_MODEL_ACTIONS = frozenset({"generateContent", "streamGenerateContent", "generateAnswer"})
# Billing FAQ: requests to count tokens are not billed.
FREE_ACTIONS = frozenset({"countTokens", "countTextTokens", "countMessageTokens", "transferOwnership"})

# Actions that are priced by what the response or the request says: tokens, or a number of images, videos or
# songs.
OPENAI_GENERATING = frozenset({"openai.chat.completions", "openai.completions", "openai.responses"})
OPENAI_EMBEDDING = "openai.embeddings"
# `interactions` and `live` are the names for a call that the user describes (`prices quote --call`).
INTERACTIONS = frozenset({"interactions.create", "interactions"})
# Their streams report the usage in the last event only.
USAGE_AT_END = OPENAI_GENERATING | INTERACTIONS
LIVE_ACTIONS = frozenset({"BidiGenerateContent", "BidiGenerateContentConstrained", "live"})
IMAGE_ACTIONS = frozenset({"predict", "openai.images.generations", "openai.images.edits"})
# The response is a long-running operation; the videos are charged once it has succeeded.
VIDEO_ACTIONS = frozenset({"predictLongRunning", "openai.videos"})
MEDIA_ACTIONS = IMAGE_ACTIONS | VIDEO_ACTIONS
CACHE_STORAGE_ACTION = "cache.storage"
# Creating and updating a cache costs nothing: its storage is charged in ledger rows of its own.
CACHE_CREATE, CACHE_UPDATE = "cachedContents.create", "cachedContents.patch"
# Free: documents are charged when they are embedded, and a new store has none.
STORE_CREATE = "fileSearchStores.create"
# Its requests are in a file, so its action follows from what the model is for.
OPENAI_BATCH = "openai.batches"

# Actions that are not METERED, but whose cost becomes known from the response, the request or the operation
# that they start, and has an upper bound. Not in it: batches (no bound) and caches (the cost grows by the
# hour).
PRICED_ACTIONS = OPENAI_GENERATING | INTERACTIONS | MEDIA_ACTIONS | LIVE_ACTIONS | {OPENAI_EMBEDDING}

# `{models|tunedModels|dynamic}/{id}:{action}`. An action that is missing here counts as billable, at an
# unknown cost.
METERED_ACTIONS = (GENERATING | EMBEDDING) - BATCHES
MODEL_ACTIONS: dict[str, Billing] = {
    **dict.fromkeys(METERED_ACTIONS, Billing.METERED),
    **dict.fromkeys(FREE_ACTIONS, Billing.FREE),
}

# Collections whose methods are free (`models` has read methods only). In other collections `create` and
# custom methods are billable; in every collection a custom method is billable unless it is known to be free.
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

# The remaining billable actions and custom methods of Google's, and OpenAI's names for them.
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

# Paths that exist under `openai/` only; the other three exist without that prefix too.
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

# Cancelling a background interaction costs nothing more: its tokens are charged to the call that created it.
FREE_STANDARD_VERBS = frozenset({"list", "get", "delete", "options", "cancel"})


def billing_of(action: str) -> Billing:
    """How calls of an action (`generateContent`, `files.list`) are billed."""
    *collections, verb = action.split(".")
    if not collections:
        return MODEL_ACTIONS.get(action, Billing.UNKNOWN)
    read = verb in FREE_STANDARD_VERBS and (FREE_COLLECTIONS | BILLABLE_COLLECTIONS).issuperset(collections)
    # Google has no write methods on models, so one cannot be assumed to be free.
    write = verb in FREE_VERBS and FREE_COLLECTIONS.issuperset(collections) and collections != ["models"]
    return Billing.FREE if read or write or action == STORE_CREATE else Billing.UNKNOWN
