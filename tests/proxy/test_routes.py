"""What Google's clients send, one request of each shape: each goes up as it came, and has its action's row.

The shapes are those of the SDKs' sources and of what real clients sent through a relay. With
GATEKEEPER_RECORDINGS set, whatever else stands in the list of routes beside that folder goes through too.
"""

from __future__ import annotations

import csv
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
import trio
from rig.gateway import Running
from rig.standin import Reply, StandIn
from rig.wire import connect, head, read

RECORDINGS = os.environ.get("GATEKEEPER_RECORDINGS", "")
MODEL = "/v1beta/models/gemini-2.5-flash"
OF_SDKS = [
    "Content-Type: application/json; charset=utf-8",
    "Accept: application/json, text/event-stream, */*",
    "x-goog-api-client: google-genai-sdk/3.6.1 gl-python/3.11.7 grpc/1.80.0",
    "x-goog-request-params: model=models/gemini-2.5-flash",
    "x-server-timeout: 60",
    "x-stainless-retry-count: 0",
    "x-envoy-original-path: /llm/v1beta/models",
    "sec-fetch-mode: cors",
]
UPLOAD = "X-Goog-Upload-Protocol: multipart"

# Method and target, and the action.
SHAPES = f"""
    POST {MODEL}:generateContent                                      generateContent
    POST {MODEL}:generateContent?alt=json                             generateContent
    POST {MODEL}:generateContent?$alt=json;enum-encoding=int          generateContent
    POST {MODEL}:generateContent?%24alt=json%3Benum-encoding%3Dint    generateContent
    POST {MODEL}:generateContent?prettyPrint=false&                   generateContent
    POST {MODEL}:streamGenerateContent?alt=sse                        streamGenerateContent
    POST {MODEL}:streamGenerateContent?$alt=json;enum-encoding=int    streamGenerateContent
    POST /v1/models/gemini-2.5-flash:countTokens                      countTokens
    POST {MODEL}:batchEmbedContents                                   batchEmbedContents
    POST {MODEL}:batchGenerateContent                                 batchGenerateContent
    POST {MODEL}:predictLongRunning                                   predictLongRunning
    POST {MODEL}:somethingNew?alt=json                                somethingNew
    GET {MODEL}                                                       models.get
    HEAD {MODEL}                                                      models.get
    OPTIONS {MODEL}:generateContent                                   generateContent
    OPTIONS /upload/v1beta/files                                      files.upload
    GET /v1beta/models?pageSize=50&pageToken=Ch9%3D%3D&filter=a%3Db   models.list
    GET /v1beta/models?fields=models(name),nextPageToken              models.list
    GET {MODEL}/operations/o-1                                        models.operations.get
    POST /upload/v1beta/files?uploadType=multipart                    files.upload
    POST /upload/v1beta/fileSearchStores/s-1:uploadToFileSearchStore  fileSearchStores.uploadToFileSearchStore
    GET /download/v1beta/files/f-1:download?alt=media                 files.download
    GET /v1beta/files/f%201%2B?alt=json                               files.get
    GET /v1beta/files?pageSize=10                                     files.list
    DELETE /v1beta/files/f-1                                          files.delete
    DELETE /v1beta/fileSearchStores/s-1?force=True                    fileSearchStores.delete
    GET /v1beta/fileSearchStores/s-1/documents/d%C3%A9j%C3%A0         fileSearchStores.documents.get
    PATCH /v1beta/cachedContents/c-1?updateMask=ttl                   cachedContents.patch
    PATCH /v1beta/cachedContents/c-1?updateMask=expireTime%2Cttl      cachedContents.patch
    POST /v1beta/batches/b-1:cancel                                   batches.cancel
    GET /v1beta/batches?pageSize=5&filter=x                           batches.list
    POST /v1beta/interactions                                         interactions.create
    POST /v1beta/interactions?alt=sse                                 interactions.create
    GET /v1beta/interactions/v1_Chd%3D?stream=true&last_event_id=e.3  interactions.get
    POST /v1beta/interactions/v1_Chd/cancel                           interactions.cancel
    PATCH /v1beta/triggers/t-1?update_mask=a,b                        triggers.patch
    GET /v1beta/environments/e-1/files/a%20dir/b.tar.gz?alt=media     environments.files.get
    GET /v1/voices?language_code=de&page_size=4                       voices.list
    POST /v1beta/openai/chat/completions                              openai.chat.completions
    POST /v1beta/openai/embeddings                                    openai.embeddings
    GET /v1beta/openai/models/models/gemini-2.5-flash                 openai.models.get
    GET /v1beta/newThings?anything=1&at%20all=%5B2%5D                 newThings.list
    POST /v1beta/newThings                                            newThings.create
    POST /v7/newThings/1:doIt                                         newThings.doIt
"""


class Shape(NamedTuple):
    method: str
    target: str
    action: str | None  # None where the list has a name of its own


def shapes() -> list[Shape]:
    return [Shape(*line.split()) for line in SHAPES.splitlines() if line.strip()]


def listed() -> Iterator[Shape]:
    """Of the list of routes all but WebSockets."""
    with (Path(RECORDINGS).parent / "routes.tsv").open() as file:
        for row in csv.DictReader(file, delimiter="\t"):
            path = re.sub(r"\{name=(.*?)\}", lambda name: name[1].replace("*", "id-1"), row["path"])
            if row["http_method"] != "WEBSOCKET":
                yield Shape(row["http_method"], re.sub(r"\{.*?\}", "id-1", path), None)


async def answer(reply: Reply) -> None:
    body = b"" if reply.asked.method == "HEAD" else b"{}"
    await reply.raw(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n" + body)


async def pass_through(gateway: Running, google: StandIn, sent: list[Shape]) -> None:
    google.script = answer
    async with await connect(gateway.url) as client:
        for shape in sent:
            headers = [*OF_SDKS, UPLOAD] if "/upload/" in shape.target else OF_SDKS
            line = f"{shape.method} /gemini{shape.target}"
            await client.send_all(head(line, [*headers, "Content-Length: 2"]) + b"{}")
            answered = await read(client, shape.method)
            assert answered.status == 200, (shape, answered.body)
            asked = google.asked[-1]
            assert (asked.method, asked.target.decode(), asked.body) == (shape.method, shape.target, b"{}")
    assert len(google.asked) == len(sent)
    with trio.fail_after(5):
        while len(rows := await gateway.rows()) < len(sent):
            await trio.sleep(0.01)
    for shape, row in zip(sent, rows, strict=True):
        assert row["outcome"] == "ok", shape
        assert row["action"] == (shape.action or row["action"]) is not None, shape


async def test_what_clients_send_goes_up_as_it_came(gateway: Running, google: StandIn) -> None:
    await pass_through(gateway, google, shapes())


@pytest.mark.skipif(not RECORDINGS, reason="GATEKEEPER_RECORDINGS names no folder of recordings")
async def test_every_route_of_the_list_goes_up_as_it_came(gateway: Running, google: StandIn) -> None:
    await pass_through(gateway, google, list(listed()))
