"""The calls that are put to the two price packages and to us: what kind a model is, the usages of each kind,
the tiers and the days. Needs neither the packages nor the gateway."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

# The day on which the tables and ours are to agree: all usages are compared on it.
TODAY = "2026-11-24"
# What changed its price: a few usages are compared on these days too.
OTHER_DAYS = ("2024-07-01", "2025-06-10", "2026-08-01", "2026-12-15", "2027-01-15")
DAYS = (TODAY, *OTHER_DAYS)
# No model was there before its generation; the longest beginning that fits. Others: since 2025.
_BEGAN = {
    "gemini-": "2024",
    "gemini-2": "2024-12",
    "gemini-3": "2025-11",
    "gemini-3.7": "2026-08-13",
    "gemini-3.8": "2026-09",
    "gemini-4": "2026-11",
    "": "2025",
}

# Ids that no model has; they look like those of known ones.
INVENTED = (
    "gemini-2.5-flash-ultra-2099",
    "gemini-2.5-pro-foo",
    "gemini-3.8-flash-lite",
    "gemini-4-argon-mini",
)
# One id for each glob of the catalogue.
GLOB_EXAMPLES = (
    "gemini-1.5-pro-exp-0801",
    "gemini-2.0-flash-thinking-exp-01-21",
    "gemini-2.0-pro-exp-02-05",
    "gemini-embedding-exp-03-07",
    "gemini-live-2.5-flash-preview-native-audio-09-2025",
    "gemma-2-27b-it",
    "gemma-3-27b-it",
    "gemma-4-31b-it",
    "learnlm-2.0-flash-experimental",
)


class Case(NamedTuple):
    """What one call reports: its usage as the API writes it, and beside tokens the searches, pictures, films
    or songs by component. `also_on` other days too."""

    usage: dict[str, Any]
    units: Mapping[str, int] = {}
    also_on: bool = False


def _details(parts: str) -> list[dict[str, object]]:
    """`TEXT 24 AUDIO 1920` as the API writes it."""
    words = parts.split()
    return [
        {"modality": name, "tokenCount": int(count)}
        for name, count in zip(words[::2], words[1::2], strict=True)
    ]


_NAMES = {
    "prompt": ("promptTokenCount", "promptTokensDetails"),
    "embedded": ("promptTokenCount", "promptTokenDetails"),
    "cached": ("cachedContentTokenCount", "cacheTokensDetails"),
    "candidates": ("candidatesTokenCount", "candidatesTokensDetails"),
    "response": ("responseTokenCount", "responseTokensDetails"),
    "thoughts": ("thoughtsTokenCount", ""),
    "tool": ("toolUsePromptTokenCount", "toolUsePromptTokensDetails"),
    "total": ("totalTokenCount", ""),
}


def usage(written: str) -> dict[str, Any]:
    """`prompt 1944 TEXT 24 AUDIO 1920, candidates 156, total 2100` as a `usageMetadata`."""
    members: dict[str, Any] = {}
    for part in written.split(", "):
        word, count, *details = part.split()
        name, split = _NAMES[word]
        members[name] = int(count)
        if details:
            members[split] = _details(" ".join(details))
    return members


def _case(written: str, also_on: bool = False, **units: int) -> Case:
    return Case(usage(written) if written else {}, units, also_on)


_TEXT = {
    "text": _case("prompt 1000 TEXT 1000, candidates 200, total 1200", also_on=True),
    "thoughts": _case("prompt 1000 TEXT 1000, candidates 100, thoughts 300, total 1400"),
    "thoughts left out": _case("prompt 1000 TEXT 1000, candidates 100, total 1400"),
    "thoughts in candidates": _case("prompt 8 TEXT 8, candidates 79, thoughts 71, total 87"),
    "no total": _case("prompt 1000 TEXT 1000, candidates 100, thoughts 300"),
    "cached": _case("prompt 5000 TEXT 5000, cached 4000 TEXT 4000, candidates 200, total 5200", also_on=True),
    "cached, no details": _case("prompt 5000 TEXT 5000, cached 4000, candidates 200, total 5200"),
    "tool use": _case("prompt 100 TEXT 100, tool 900 TEXT 900, candidates 50, thoughts 50, total 1100"),
    "searches": _case("prompt 1000 TEXT 1000, candidates 200, total 1200", grounding_search_query=2),
    "a search on Maps": _case("prompt 1000 TEXT 1000, candidates 200, total 1200", grounding_maps_query=1),
}
_MODALITIES = {
    "audio in": _case("prompt 1920 TEXT 20 AUDIO 1900, candidates 200, total 2120", also_on=True),
    "pictures and film in": _case(
        "prompt 1078 TEXT 20 IMAGE 258 VIDEO 500 DOCUMENT 300, candidates 200, total 1278"
    ),
    "cached audio": _case("prompt 2000 AUDIO 2000, cached 1500 AUDIO 1500, candidates 200, total 2200"),
    "cached audio, no details": _case("prompt 2000 AUDIO 2000, cached 1500, candidates 200, total 2200"),
    "200,000": _case("prompt 200000 TEXT 200000, candidates 1000, total 201000"),
    "200,001": _case(
        "prompt 200001 TEXT 200001, cached 150000 TEXT 150000, candidates 1000, total 201001", also_on=True
    ),
    "beyond 200,000 by tool use": _case(
        "prompt 150000 TEXT 150000, tool 60000 TEXT 60000, candidates 1000, total 211000"
    ),
}

CASES: dict[str, dict[str, Case]] = {
    "text": _TEXT | _MODALITIES,
    "transcription": {"text": _TEXT["text"], "audio in": _MODALITIES["audio in"]},
    "image": {
        **{name: _TEXT[name] for name in ("text", "thoughts", "searches")},
        "picture out": _case(
            "prompt 278 TEXT 20 IMAGE 258, candidates 1302 IMAGE 1290, total 1580", also_on=True
        ),
        "picture and thoughts": _case(
            "prompt 20 TEXT 20, candidates 1283 IMAGE 1120, thoughts 90, total 1393"
        ),
    },
    "speech": {
        "speech": _case("prompt 50 TEXT 50, candidates 300 AUDIO 300, total 350", also_on=True),
        "speech, no details": _case("prompt 50 TEXT 50, candidates 300, total 350"),
        "speech, cached": _case(
            "prompt 5000 TEXT 5000, cached 4000 TEXT 4000, candidates 300 AUDIO 300, total 5300"
        ),
    },
    "omni": {
        "film out": _case("prompt 20 TEXT 20, candidates 46336 VIDEO 46336, total 46356", also_on=True),
        "text": _TEXT["text"],
    },
    "live": {
        "turn": _case("prompt 300 TEXT 100 AUDIO 200, response 150 AUDIO 150, total 450", also_on=True),
        "turn of text": _case("prompt 300 TEXT 300, response 50 TEXT 50, total 350"),
        "turn with film": _case(
            "prompt 800 TEXT 100 AUDIO 200 VIDEO 500, response 150 AUDIO 150, total 950"
        ),
    },
    "embedding": {
        "text": _case("embedded 1000 TEXT 1000", also_on=True),
        "of all kinds": _case("embedded 1558 TEXT 300 IMAGE 258 AUDIO 500 VIDEO 500"),
    },
    "pictures": {"three pictures": _case("", also_on=True, image_each=3)},
    "film": {
        "8 s in 720p": _case("", also_on=True, output_video_second_720p=8),
        "8 s in 1080p": _case("", output_video_second_1080p=8),
        "8 s in 4k": _case("", output_video_second_4k=8),
    },
    "music": {"a song": _case("", also_on=True, music_each=1)},
}  # fmt: skip

# The action of a call of each kind; `batch` in the tier of that name.
ACTIONS = {
    "live": "live",
    "embedding": "embedContent",
    "pictures": "predict",
    "film": "predictLongRunning",
    "music": "generateContent",
}

# What an id tells of a model; the first that fits.
_KINDS = (
    ("embedding", ("embedding",)),
    ("live", ("live", "native-audio", "streaming")),
    ("speech", ("tts",)),
    ("transcription", ("transcribe",)),
    ("pictures", ("imagen",)),
    ("image", ("image", "banana")),
    ("omni", ("omni",)),
    ("film", ("veo",)),
    ("music", ("lyria",)),
)


def kind_of(model: str) -> str:
    return next((kind for kind, words in _KINDS if any(word in model for word in words)), "text")


def days_of(model: str, days: tuple[str, ...]) -> tuple[str, ...]:
    """Those of the days on which there was such a model."""
    began = _BEGAN[max((start for start in _BEGAN if model.startswith(start)), key=len)]
    return tuple(day for day in days if day >= began)


def tiers_of(kind: str, day: str) -> tuple[str, ...]:
    """Flex and priority came in April 2026; nothing of them, or of batches, is offered for the others."""
    if kind in ("live", "pictures", "film", "music"):
        return ("standard",)
    if kind == "embedding" or day < "2026-04":
        return ("standard", "batch")
    return ("standard", "batch", "flex", "priority")


def cases_of(kind: str, day: str) -> dict[str, Case]:
    return {name: case for name, case in CASES[kind].items() if day == TODAY or case.also_on}
