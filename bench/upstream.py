"""A stand-in for the Gemini API with a pace of its own, light enough not to be what is measured.

A path with `streamGenerateContent` is answered with EVENTS server-sent events, one each INTERVAL seconds,
every other request with one JSON document after DELAY seconds. All answers are made beforehand.

A query can ask for a fault: `fault=error` is answered with 503, `fault=reset` not at all, and of a stream
with `fault=cut` comes the first half; then the connection is reset.
"""

import argparse
import asyncio
import json
import ssl


def document(index: int, text: str, **ending: str) -> bytes:
    """One GenerateContentResponse; its usage grows with `index`, as that of a stream does."""
    candidate = {"content": {"parts": [{"text": text}], "role": "model"}, "index": 0} | ending
    prompt, thoughts, output = 24, 100, 8 * (index + 1)
    usage = {"promptTokenCount": prompt, "candidatesTokenCount": output}
    usage |= {"totalTokenCount": prompt + thoughts + output, "thoughtsTokenCount": thoughts}
    usage |= {"promptTokensDetails": [{"modality": "TEXT", "tokenCount": prompt}]}
    identity = {"modelVersion": "gemini-2.5-flash", "responseId": "mZYlaYb8"}
    return json.dumps({"candidates": [candidate], "usageMetadata": usage} | identity).encode()


def stream_parts(events: int) -> list[bytes]:
    """The chunks of a stream's body as they go over the wire; the last one ends it."""
    documents = [document(i, f"Part {i} of a story with some words. ") for i in range(events - 1)]
    documents.append(document(events - 1, "The end.", finishReason="STOP"))
    datas = [b"data: %s\r\n\r\n" % each for each in documents]
    parts = [b"%x\r\n%s\r\n" % (len(data), data) for data in datas]
    return [*parts[:-1], parts[-1] + b"0\r\n\r\n"]


def unary_answer() -> bytes:
    body = document(9, "A sentence of eight words, over and over. " * 20, finishReason="STOP")
    head = b"HTTP/1.1 200 OK\r\ncontent-type: application/json; charset=UTF-8\r\ncontent-length: %d\r\n\r\n"
    return head % len(body) + body


def error_answer() -> bytes:
    error = {"code": 503, "message": "The model is overloaded.", "status": "UNAVAILABLE"}
    body = json.dumps({"error": error}).encode()
    head = b"HTTP/1.1 503 Service Unavailable\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n"
    return head % len(body) + body


ERROR = error_answer()
STREAM_HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"


class Peer(asyncio.Protocol):
    """One connection: requests with a content-length, one after the other."""

    def __init__(self, interval: float, delay: float, parts: list[bytes], unary: bytes) -> None:
        self.interval, self.delay, self.parts, self.unary = interval, delay, parts, unary
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
        target = head.partition(b"\r\n")[0]
        if b"fault=reset" in target:
            self.transport.abort()
        elif b"fault=error" in target:
            self.transport.write(ERROR)
        elif b"streamGenerateContent" in target:
            self.cut_at = len(self.parts) // 2 if b"fault=cut" in target else -1
            self.transport.write(STREAM_HEAD)
            self.loop.call_later(self.interval, self.send_part, 0)
        elif self.delay:
            self.loop.call_later(self.delay, self.transport.write, self.unary)
        else:
            self.transport.write(self.unary)

    def send_part(self, index: int) -> None:
        if self.transport.is_closing():
            return
        if index == self.cut_at:
            self.transport.abort()
            return
        self.transport.write(self.parts[index])
        if index + 1 < len(self.parts):
            self.loop.call_later(self.interval, self.send_part, index + 1)


async def serve(port: int, events: int, interval: float, delay: float, cert: str, key: str) -> None:
    peer_of = (interval, delay, stream_parts(events), unary_answer())
    loop = asyncio.get_running_loop()
    tls = None
    if cert:
        tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        tls.load_cert_chain(cert, key)
    server = await loop.create_server(lambda: Peer(*peer_of), "127.0.0.1", port, backlog=4096, ssl=tls)
    await server.serve_forever()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("port", type=int)
    parser.add_argument("--events", type=int, default=40, help="events of a stream")
    parser.add_argument("--interval", type=float, default=0.05, help="seconds between two events")
    parser.add_argument("--delay", type=float, default=0.0, help="seconds to a unary answer")
    parser.add_argument("--cert", default="", help="PEM file: it speaks TLS")
    parser.add_argument("--key", default="", help="PEM file of the private key")
    asyncio.run(serve(**vars(parser.parse_args())))
