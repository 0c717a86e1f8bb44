#!/usr/bin/env bash
# Hypercorn 0.18.0 (with trio 0.35.0 and h11 0.16.0) tells an application that a client has gone which is still
# reading, and then delivers the answer to it all the same.
#
# A client may send its whole request and shut down its sending side (`nc -N`, some balancers); TCP and HTTP/1.1
# leave it free to read its answer. Seen here, with a plain ASGI application that asks `receive` twice before it
# answers: the first message is the whole request; the second, at once, is `http.disconnect`, with the client
# still waiting. The application answers 200 nevertheless, and the client reads the answer to its last byte. The
# same request from a client that leaves its sending side open brings no `http.disconnect` within a second.
#
# So an application that takes `http.disconnect` for the end of its client, as the ASGI specification invites it
# to (cancel the work, stop a model's answer), leaves such clients with nothing. Whether anybody reads shows only
# when a send fails, or in the state of the socket (RDHUP alone is no reset).
#
# Output, and exit status 0 where that is so, 1 where Hypercorn does otherwise:
#   open         messages before the answer: http.request; client read 200
#   half-closed  messages before the answer: http.request http.disconnect; client read 200
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q hypercorn==0.18.0 trio==0.35.0 h11==0.16.0
"$folder/venv/bin/python" - <<'PYTHON'
import trio
from hypercorn.config import Config
from hypercorn.trio import serve

SEEN = []


async def app(scope, receive, send):
    if scope["type"] != "http":
        raise NotImplementedError(scope["type"])
    kinds = []
    with trio.move_on_after(1):
        for _ in range(2):
            kinds.append((await receive())["type"])
    SEEN.append(kinds)
    body = b"hello"
    headers = [(b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def ask(url, half_closed):
    host, port = url.removeprefix("http://").split(":")
    async with await trio.open_tcp_stream(host, int(port)) as client:
        await client.send_all(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        if half_closed:
            await client.send_eof()
        received = b""
        with trio.fail_after(10):
            while not received.endswith(b"hello") and (data := await client.receive_some()):
                received += data
    return received


async def main():
    config = Config()
    config.bind = ["127.0.0.1:0"]
    config.errorlog = None
    async with trio.open_nursery() as nursery:
        (url,) = await nursery.start(serve, app, config)
        answers = [await ask(url, half_closed) for half_closed in (False, True)]
        nursery.cancel_scope.cancel()
    told = []
    for name, kinds, answer in zip(("open", "half-closed"), SEEN, answers, strict=True):
        whole = answer.startswith(b"HTTP/1.1 200") and answer.endswith(b"hello")
        read = "200" if whole else repr(answer)
        told.append((name, kinds, read))
        print(f"{name:12} messages before the answer: {' '.join(kinds)}; client read {read}")
    return told


told = trio.run(main)
wanted = [
    ("open", ["http.request"], "200"),
    ("half-closed", ["http.request", "http.disconnect"], "200"),
]
raise SystemExit(told != wanted)
PYTHON
