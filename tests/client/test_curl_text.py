"""A recorded call as a command: what is said, and that nothing gets out of its quotes."""

from __future__ import annotations

import shlex

import pytest
from rig.cases import cases

from gatekeeper.client.call_types import Call
from gatekeeper.client.curl_text import curl_command

URL = "http://127.0.0.1:4000"
PATH = "/v1beta/models/gemini-2.5-flash:generateContent"


def words(call: Call) -> list[str]:
    """The command's arguments, without the comment."""
    command = curl_command(call, URL)
    assert command
    return shlex.split(command, comments=True)


def test_a_call_with_tags_and_user() -> None:
    call = Call(
        method="POST", path=PATH, action="generateContent", tags=("a", "it's"), user_id="$(id)", model="m"
    )
    command = curl_command(call, URL)
    assert command
    assert command.startswith("# a placeholder body: the gateway does not store bodies\ncurl ")
    assert '-H "x-goog-api-key: $GATEKEEPER_KEY"' in command
    given = words(call)
    assert given[-1] == f"{URL}/gemini{PATH}"
    assert "tags: a,it's" in given
    assert "x-gatekeeper-user: $(id)" in given


@cases(
    ("fields", "said"),
    [
        ({"method": "GET", "path": "/v1beta/models"}, "curl -X GET"),
        ({"method": "DELETE", "path": "/v1beta/files/a"}, "curl -X DELETE"),
        ({"method": "POST", "path": "/v1beta/triggers", "action": "triggers.create"}, "# fill in the body"),
        ({"path": PATH, "action": "streamGenerateContent"}, "?alt=sse"),
        ({"path": "/a'; rm -rf /\n", "action": "x"}, "/gemini/a"),
    ],
)
def test_other_calls(fields: dict[str, str], said: str) -> None:
    call = Call(**fields)
    command = curl_command(call, URL)
    assert command
    assert said in command
    assert words(call)[-1].startswith(f"{URL}/gemini/")
    assert ("-d" in words(call)) == (call.method not in ("GET", "DELETE"))


@pytest.mark.parametrize("path", [None, "/ws/x.BidiGenerateContent", "/upload/v1beta/files"])
def test_what_one_request_cannot_repeat(path: str | None) -> None:
    assert curl_command(Call(path=path), URL) is None
