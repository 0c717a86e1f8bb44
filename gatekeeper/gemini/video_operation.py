"""What the operation of a video says: `predictLongRunning` answers with its name only, and later reads of it
(`models/m/operations/o`, or `videos/v` OpenAI-style) say how it ended. Google charges a video "if your video
is successfully generated" (pricing page, Veo): one that its filter removed, or that failed, costs nothing.
"""

from __future__ import annotations

import msgspec

from gatekeeper.gemini.json_values import as_list, as_object
from gatekeeper.gemini.token_counts import read_count


class VideoOperation(msgspec.Struct, frozen=True, kw_only=True):
    """`videos`: how many it made; None until it is done, or where it does not say. `filtered`: how many more
    were made and withheld by Google's filter."""

    done: bool = False
    failed: bool = False
    videos: int | None = None
    filtered: int = 0


_OPENAI_STATUSES = {
    "completed": VideoOperation(done=True, videos=1),
    "failed": VideoOperation(done=True, failed=True, videos=0),
    "cancelled": VideoOperation(done=True, failed=True, videos=0),
}
# As the API writes it, and as some SDKs' own forms do.
_LISTS = ("generatedSamples", "generatedVideos", "videos")


def read_video_operation(document: bytes) -> VideoOperation | None:
    """None for what is no operation, or no JSON. Never raises."""
    try:
        found = as_object(msgspec.json.decode(document))
    # msgspec's errors are ValueErrors; deep nesting exceeds the recursion limit.
    except (ValueError, RecursionError):
        return None
    if found is None or not (found.get("name") or found.get("id")):
        return None
    if found.get("object") == "video":
        return _OPENAI_STATUSES.get(str(found.get("status")), VideoOperation())
    if found.get("done") is not True:
        return VideoOperation()
    if found.get("error") is not None:
        return VideoOperation(done=True, failed=True, videos=0)
    response = as_object(found.get("response")) or {}
    made = as_object(response.get("generateVideoResponse")) or response
    filtered = read_count(made.get("raiMediaFilteredCount")) or 0
    lists = [as_list(made[name]) for name in _LISTS if name in made]
    # Without any sample the list is left out, as all that is empty.
    videos = len(lists[0]) if lists else 0 if filtered else None
    return VideoOperation(done=True, failed=videos == 0, videos=videos, filtered=filtered)
