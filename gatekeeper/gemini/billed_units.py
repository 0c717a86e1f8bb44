"""What a call is billed for beside its tokens, as price components with their quantity: searches, pictures,
songs, seconds of video. Pure.

- Searches: an interaction's usage says their number (`grounding_tool_count`); otherwise those that the
  response lists count (`grounding`).
- Pictures: those that the response lists; where it does not say, as many as were asked for (`sampleCount`, by
  default 4; OpenAI-style `n`, by default 1). A response that reports tokens is billed by these instead.
- Songs (Lyria): one for each call.
- Videos: seconds x samples by resolution (by default 8 s, one, 720p), as they were asked for. They are
  charged once the operation has succeeded (`billed_resources`).

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

_MUSIC_ACTIONS = GENERATING | INTERACTIONS | OPENAI_GENERATING
_MUSIC_COMPLETE = ("STOP", "stop", "completed", None)  # None: it does not say, and one was asked for


def billed_units(
    action: str | None, model: str | None, request_summary: RequestSummary, response_summary: ResponseSummary
) -> BilledUnits:
    """The units of a call that Google answered with success. `action` None: the call is of the kind that the
    model is for. `model` without `models/`."""
    if response_summary.usage and b"grounding_tool_count" in response_summary.usage:
        return counted_searches(response_summary.usage)
    if action in VIDEO_ACTIONS or (action is None and _is(model, "veo")):
        return video_units(request_summary)
    if action in IMAGE_ACTIONS or (action is None and _is(model, "imagen")):
        component = MUSIC if _is(model, "lyria") else IMAGE
        return (
            {}
            if response_summary.usage
            else {component: _pictures(action or "predict", request_summary, response_summary)}
        )
    if _is(model, "lyria") and (action is None or action in _MUSIC_ACTIONS):
        return {MUSIC: _music_clips(response_summary)}
    return response_summary.billed_units


def video_units(request_summary: RequestSummary, videos: int | None = None) -> BilledUnits:
    """The units of a request for videos, or of so many that were made of it."""
    media = request_summary.media
    if not (request_summary.understood and media.understood):
        return {VIDEO_SECOND + DEFAULT_RESOLUTION: None}
    # 0 is how proto3 reads a number that is left out.
    seconds = media.seconds or DEFAULT_VIDEO_SECONDS
    samples = media.samples or DEFAULT_VIDEOS
    resolution = media.resolution or DEFAULT_RESOLUTION
    return {VIDEO_SECOND + resolution: seconds * (samples if videos is None else videos)}


def _is(model: str | None, family: str) -> bool:
    return model is not None and model.startswith(family + "-")


def _pictures(action: str, request_summary: RequestSummary, response_summary: ResponseSummary) -> int | None:
    if response_summary.pictures is not None:
        return response_summary.pictures
    if not (response_summary.complete and request_summary.understood and request_summary.media.understood):
        return None
    default = DEFAULT_PREDICTIONS if action == "predict" else DEFAULT_OPENAI_IMAGES
    return request_summary.media.samples or default


def _music_clips(response_summary: ResponseSummary) -> int | None:
    if response_summary.block_reason:
        return 0
    return 1 if response_summary.complete and response_summary.finish_reason in _MUSIC_COMPLETE else None
