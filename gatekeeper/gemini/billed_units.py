"""What a call is billed for beside its tokens, as price components with their quantity: searches, pictures,
songs, seconds of video. Pure.

- Searches: an interaction's usage says their number (`grounding_tool_count`); otherwise those that the
  response lists count (`grounding`).
- Pictures: those that the response lists; where it does not say, as many as were asked for (`sampleCount`, by
  default 4; OpenAI-style `n`, by default 1). A response that reports tokens is billed by these instead.
- Songs (Lyria): one for each call.
- Videos: seconds x samples by resolution (by default 8 s, one, 720p), as they were asked for. They are
  charged once the operation has succeeded (`video_operation`).

Where neither the response nor the request says how much it was, the quantity is None.
"""

from __future__ import annotations

from gatekeeper.gemini.actions import (
    GENERATING,
    IMAGE_ACTIONS,
    INTERACTIONS,
    OPENAI_GENERATING,
    VIDEO_ACTIONS,
)
from gatekeeper.gemini.grounding import counted_searches
from gatekeeper.gemini.request_summary import RequestSummary
from gatekeeper.gemini.response_parser import ResponseSummary

# Price components
IMAGE, MUSIC, VIDEO_SECOND = "image_each", "music_each", "output_video_second_"

BilledUnits = dict[str, int | None]

DEFAULT_PREDICTIONS, DEFAULT_OPENAI_IMAGES = 4, 1
DEFAULT_VIDEO_SECONDS, DEFAULT_VIDEOS, DEFAULT_RESOLUTION = 8, 1, "720p"

_SINGING = GENERATING | INTERACTIONS | OPENAI_GENERATING
_SUNG = ("STOP", "stop", "completed", None)  # None: it does not say, and one was asked for


def billed_units(
    action: str | None, model: str | None, asked: RequestSummary, said: ResponseSummary
) -> BilledUnits:
    """The units of a call that Google answered with success. `action` None: the call is of the kind that the
    model is for. `model` without `models/`."""
    if said.usage and b"grounding_tool_count" in said.usage:
        return counted_searches(said.usage)
    if action in VIDEO_ACTIONS or (action is None and _is(model, "veo")):
        return video_units(asked)
    if action in IMAGE_ACTIONS or (action is None and _is(model, "imagen")):
        component = MUSIC if _is(model, "lyria") else IMAGE
        return {} if said.usage else {component: _pictures(action or "predict", asked, said)}
    if _is(model, "lyria") and (action is None or action in _SINGING):
        return {MUSIC: _songs(said)}
    return said.billed_units


def video_units(asked: RequestSummary, videos: int | None = None) -> BilledUnits:
    """The units of a request for videos, or of so many that were made of it."""
    media = asked.media
    if not (asked.understood and media.understood):
        return {VIDEO_SECOND + DEFAULT_RESOLUTION: None}
    # 0 is how proto3 reads a number that is left out.
    seconds = media.seconds or DEFAULT_VIDEO_SECONDS
    samples = media.samples or DEFAULT_VIDEOS
    resolution = media.resolution or DEFAULT_RESOLUTION
    return {VIDEO_SECOND + resolution: seconds * (samples if videos is None else videos)}


def _is(model: str | None, family: str) -> bool:
    return model is not None and model.startswith(family + "-")


def _pictures(action: str, asked: RequestSummary, said: ResponseSummary) -> int | None:
    if said.pictures is not None:
        return said.pictures
    if not (said.complete and asked.understood and asked.media.understood):
        return None
    default = DEFAULT_PREDICTIONS if action == "predict" else DEFAULT_OPENAI_IMAGES
    return asked.media.samples or default


def _songs(said: ResponseSummary) -> int | None:
    if said.block_reason:
        return 0
    return 1 if said.complete and said.finish_reason in _SUNG else None
