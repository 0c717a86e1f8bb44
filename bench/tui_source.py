"""A stand-in for a gateway that has so many calls a second: what the terminal application asks for, and the
stream of their events, paced.

`tui_source.py PORT RATE`. Each call is two events, its start and half a second later its end.
"""

import asyncio
import itertools
import json
import sys
import time
from datetime import UTC, datetime
from urllib.parse import urlsplit

INTERVAL = 0.02  # seconds between two writes to the stream
LASTS = 0.5  # seconds from a call's start to its end
OLDER = 200  # calls in the ledger
CALL = {
    "duration_ms": 566.2, "first_byte_ms": 212.4, "gateway_ms": 0.9, "key_id": "key_0123456789abcdef",
    "key_alias": "web-frontend", "user_id": "u-4711", "tags": ["checkout", "eu"], "method": "POST",
    "path": "/v1beta/models/gemini-2.5-flash:streamGenerateContent", "action": "streamGenerateContent",
    "model": "gemini-2.5-flash", "model_version": "gemini-2.5-flash", "stream": True, "status": 200,
    "outcome": "ok", "reason": None, "prompt_tokens": 1204, "cached_tokens": 980, "output_tokens": 331,
    "thoughts_tokens": 81, "tool_tokens": None, "total_tokens": 1616,
    "usage": {"promptTokenCount": 1204, "candidatesTokenCount": 331, "totalTokenCount": 1616},
    "service_tier": "standard", "cost_usd": "0.001126600000", "price_version": "2026-11-20-1a2b3c4d",
    "finish_reason": "STOP", "request_bytes": 2104, "response_bytes": 18211, "upstream_key": "1",
    "user_agent": "genai-python/3.4.0", "trace_id": None, "resource": None, "error_message": None,
    "block_reason": None, "usage_note": None, "continues": None, "billed_units": None,
}  # fmt: skip
UNKNOWN = dict.fromkeys(("duration_ms", "status", "outcome", "usage", "cost_usd", "finish_reason"))


class Source:
    def __init__(self, rate: float) -> None:
        self.rate = rate
        self.numbers = itertools.count(1)
        self.events = itertools.count(1)
        self.sent = 0  # calls whose end was sent

    def call(self) -> dict[str, object]:
        """One that starts now, with an id of UUID version 7."""
        now, number = time.time(), next(self.numbers)
        digits = f"{int(now * 1000):012x}"
        name = f"{digits[:8]}-{digits[8:]}-7{number >> 32 & 0xFFF:03x}-8000-{number & 0xFFFFFFFF:012x}"
        return {"id": name, "started_at": datetime.fromtimestamp(now, UTC).isoformat(), **CALL}

    def sse(self, kind: str, call: dict[str, object]) -> bytes:
        return f"id: {next(self.events)}\nevent: {kind}\ndata: {json.dumps(call)}\n\n".encode()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                path = urlsplit(head.split(b" ", 2)[1].decode()).path
                if path == "/calls/stream":
                    await self.stream(writer)
                body = json.dumps(self.document(path)).encode()
                writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body))
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    def document(self, path: str) -> object:
        sums = {"calls": 14_203, "errors": 3, "cost_usd": "12.5", "unpriced_calls": 0}
        known: dict[str, object] = {
            "/": {"mode": "open", "timezone": "UTC"},
            "/calls": {"calls": [self.call() for _ in range(OLDER)][::-1], "next_cursor": None},
            "/spend": {"rows": [], "total": sums},
            "/key/list": {"keys": [], "next_cursor": None},
            "/sent": self.sent,
        }
        return known.get(path, {})

    async def stream(self, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n:\n\n")
        running: list[tuple[float, dict[str, object]]] = []
        due, owed, second = time.monotonic(), 0.0, 0.0
        while True:
            owed += self.rate * INTERVAL
            lines = []
            for _ in range(int(owed)):
                call = self.call()
                running.append((due + LASTS, call))
                lines.append(self.sse("call.started", {**call, **UNKNOWN}))
            owed %= 1
            while running and running[0][0] <= due:
                lines.append(self.sse("call.finished", running.pop(0)[1]))
                self.sent += 1
            second += INTERVAL
            if second >= 1:
                second = 0.0
                tick = {"calls": int(self.rate), "errors": 0, "in_flight": len(running), "tokens": 0}
                lines.append(f"event: tick\ndata: {json.dumps(tick)}\n\n".encode())
            writer.write(b"".join(lines))
            await writer.drain()
            due += INTERVAL
            await asyncio.sleep(max(due - time.monotonic(), 0))


async def main(port: int, rate: float) -> None:
    server = await asyncio.start_server(Source(rate).serve, "127.0.0.1", port)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), float(sys.argv[2])))
