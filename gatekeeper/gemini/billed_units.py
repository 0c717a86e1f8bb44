"""What a call is billed for other than tokens, as quantities by price component: searches, images, songs,
seconds of video. Pure.

- Searches: the count in an interaction's usage (`grounding_tool_count`), otherwise the queries that the
  response lists (`grounding`).
- Images: those that the response lists; if it lists none, as many as were requested (`sampleCount`, by
  default 4; OpenAI's `n`, by default 1). A response that reports tokens is billed by tokens instead.
- Songs (Lyria): one per call.
- Videos: seconds x samples by resolution (by default 8 s, one sample, 720p), as requested. They are charged
  once the operation has succeeded (`billed_resources`).

If neither the response nor the request has the quantity, it is None.
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
_MUSIC_COMPLETE = ("STOP", "stop", "completed", None)  # None: not reported, and one was requested


def billed_units(
    action: str | None, model: str | None, request_summary: RequestSummary, response_summary: ResponseSummary
) -> BilledUnits:
    """The units of a call that succeeded at Google. `action` None: the usual one of the model. `model` is
    without `models/`."""
    if response_summary.usage and b"grounding_tool_count" in response_summary.usage:
        return counted_searches(response_summary.usage)
    if action in VIDEO_ACTIONS or (action is None and _is(model, "veo")):
        return video_units(request_summary)
    if action in IMAGE_ACTIONS or (action is None and _is(model, "imagen")):
        component = MUSIC if _is(model, "lyria") else IMAGE
        return (
            {}
            if response_summary.usage
            else {component: _images(action or "predict", request_summary, response_summary)}
        )
    if _is(model, "lyria") and (action is None or action in _MUSIC_ACTIONS):
        return {MUSIC: _music_clips(response_summary)}
    return response_summary.billed_units


def video_units(request_summary: RequestSummary, videos: int | None = None) -> BilledUnits:
    """The units of a request for videos; with `videos`, of that many that were generated for it."""
    media = request_summary.media
    if not (request_summary.understood and media.understood):
        return {VIDEO_SECOND + DEFAULT_RESOLUTION: None}
    # proto3 reads an omitted number as 0.
    seconds = media.seconds or DEFAULT_VIDEO_SECONDS
    samples = media.samples or DEFAULT_VIDEOS
    resolution = media.resolution or DEFAULT_RESOLUTION
    return {VIDEO_SECOND + resolution: seconds * (samples if videos is None else videos)}


def _is(model: str | None, family: str) -> bool:
    return model is not None and model.startswith(family + "-")


def _images(action: str, request_summary: RequestSummary, response_summary: ResponseSummary) -> int | None:
    if response_summary.images is not None:
        return response_summary.images
    if not (response_summary.complete and request_summary.understood and request_summary.media.understood):
        return None
    default = DEFAULT_PREDICTIONS if action == "predict" else DEFAULT_OPENAI_IMAGES
    return request_summary.media.samples or default


def _music_clips(response_summary: ResponseSummary) -> int | None:
    if response_summary.block_reason:
        return 0
    return 1 if response_summary.complete and response_summary.finish_reason in _MUSIC_COMPLETE else None
