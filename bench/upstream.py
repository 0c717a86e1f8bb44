"""A stand-in for the Gemini API with a pace of its own, light enough not to be what a measurement measures.

A path with `streamGenerateContent` is answered with EVENTS server-sent events, one each INTERVAL seconds, every
other request with one JSON document after DELAY seconds. All answers are made beforehand.
"""

import argparse
import asyncio
import json


def document(index: int, text: str, *, last: bool) -> bytes:
    """One GenerateContentResponse; its usage grows with `index`, as that of a stream does."""
    candidate = {"content": {"parts": [{"text": text}], "role": "model"}, "index": 0}
    output = 8 * (index + 1)
    usage = {
        "promptTokenCount": 24,
        "candidatesTokenCount": output,
        "totalTokenCount": 124 + output,
        "promptTokensDetails": [{"modality": "TEXT", "tokenCount": 24}],
        "thoughtsTokenCount": 100,
    }
    return json.dumps(
        {
            "candidates": [candidate | ({"finishReason": "STOP"} if last else {})],
            "usageMetadata": usage,
            "modelVersion": "gemini-2.5-flash",
            "responseId": "mZYlaYb8",
        }
    ).encode()


def stream_parts(events: int) -> list[bytes]:
    """The chunks of a stream's body as they go over the wire; the last one ends it."""
    datas = (
        b"data: %s\r\n\r\n" % document(i, f"Part {i} of a story with some words. ", last=i == events - 1)
        for i in range(events)
    )
    parts = [b"%x\r\n%s\r\n" % (len(data), data) for data in datas]
    parts[-1] += b"0\r\n\r\n"
    return parts


STREAM_HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
UNARY_HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: application/json; charset=UTF-8\r\ncontent-length: %d\r\n\r\n"


class Peer(asyncio.Protocol):
    """One connection: requests with a content-length, one after the other, kept alive."""

    def __init__(self, options: argparse.Namespace, parts: list[bytes], unary: bytes) -> None:
        self.options, self.parts, self.unary = options, parts, unary
        self.loop = asyncio.get_running_loop()
        self.received = b""

    def connection_made(self, transport: asyncio.Transport) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.received += data
        head, end, body = self.received.partition(b"\r\n\r\n")
        _, _, length = head.lower().partition(b"content-length:")
        if not end or len(body) < int(length.partition(b"\r\n")[0] or 0):
            return
        self.received = b""
        if b"streamGenerateContent" in head.partition(b"\r\n")[0]:
            self.transport.write(STREAM_HEAD)
            self.loop.call_later(self.options.interval, self.send_part, 0)
        elif self.options.delay:
            self.loop.call_later(self.options.delay, self.transport.write, self.unary)
        else:
            self.transport.write(self.unary)

    def send_part(self, index: int) -> None:
        if self.transport.is_closing():
            return
        self.transport.write(self.parts[index])
        if index + 1 < len(self.parts):
            self.loop.call_later(self.options.interval, self.send_part, index + 1)


async def serve(options: argparse.Namespace) -> None:
    parts = stream_parts(options.events)
    body = document(9, "A sentence of eight words, over and over. " * 20, last=True)
    unary = UNARY_HEAD % len(body) + body
    loop = asyncio.get_running_loop()
    server = await loop.create_server(
        lambda: Peer(options, parts, unary), "127.0.0.1", options.port, backlog=4096
    )
    await server.serve_forever()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("port", type=int)
    parser.add_argument("--events", type=int, default=40, help="events of a stream")
    parser.add_argument("--interval", type=float, default=0.05, help="seconds between two events")
    parser.add_argument("--delay", type=float, default=0.0, help="seconds to a unary answer")
    asyncio.run(serve(parser.parse_args()))
