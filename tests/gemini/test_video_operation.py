"""How a video's operation ended, and how many videos it made."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st
from rig.cases import cases

from gatekeeper.gemini.billed_resources import VideoOperation, read_video_operation

NAME = {"name": "models/veo-3.1-generate-preview/operations/o"}
SAMPLE = {"video": {"uri": "https://example.org/v1beta/files/f:download?alt=media"}}
VIDEO = {"id": "v", "object": "video"}


def ended(**response: object) -> dict[str, object]:
    return {**NAME, "done": True, "response": {"generateVideoResponse": response}}


FAILED = VideoOperation(done=True, failed=True, videos=0)
CASES = {
    "just begun": (NAME, VideoOperation()),
    "not done": ({**NAME, "done": False}, VideoOperation()),
    "one": (ended(generatedSamples=[SAMPLE]), VideoOperation(done=True, videos=1)),
    "three of four": (
        ended(generatedSamples=[SAMPLE] * 3, raiMediaFilteredCount=1),
        VideoOperation(done=True, videos=3, filtered=1),
    ),
    "all withheld": (
        ended(raiMediaFilteredCount=2, raiMediaFilteredReasons=["no"]),
        VideoOperation(done=True, failed=True, videos=0, filtered=2),
    ),
    "an empty list": (ended(generatedSamples=[]), FAILED),
    "failed": ({**NAME, "done": True, "error": {"code": 3, "message": "no"}}, FAILED),
    "done, and says nothing": ({**NAME, "done": True}, VideoOperation(done=True)),
    "Vertex's form": (
        {**NAME, "done": True, "response": {"videos": [SAMPLE, SAMPLE]}},
        VideoOperation(done=True, videos=2),
    ),
    "OpenAI's, under way": ({**VIDEO, "status": "processing"}, VideoOperation()),
    "OpenAI's, ended": ({**VIDEO, "status": "completed"}, VideoOperation(done=True, videos=1)),
    "OpenAI's, failed": ({**VIDEO, "status": "failed"}, FAILED),
    "no operation": ({"done": True}, None),
    "a list": ([NAME], None),
}


@cases(("document", "expected"), CASES.values(), ids=CASES.keys())
def test_how_it_ended(document: object, expected: VideoOperation | None) -> None:
    assert read_video_operation(json.dumps(document).encode()) == expected


@given(st.binary())
def test_bytes_that_are_no_json_are_no_operation(document: bytes) -> None:
    assert read_video_operation(b'{"name": ' + document) is None


def test_deep_nesting_is_no_operation() -> None:
    assert read_video_operation(b"[" * 100_000) is None
