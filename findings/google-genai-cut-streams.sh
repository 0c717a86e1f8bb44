#!/usr/bin/env bash
# google-genai 3.6.1 (with httpx2 2.16.2) takes a stream that was cut for a whole answer wherever HTTP ended it
# properly, and tells one that broke with an exception that is none of its own.
#
# `generate_content_stream` from a server on loopback that sends one event of text, without a `finishReason`, as
# Server-Sent Events in chunks, and then:
#
# - the last chunk, as a proxy does that gives up in an orderly way: the iterator ends as after a whole answer,
#   no exception, no warning. Only the missing finish reason of the last event tells.
# - an event with an error object, then the last chunk: `google.genai.errors.ServerError` with its code.
# - nothing, the connection closes: `httpx2.RemoteProtocolError`. It is no `google.genai.errors.APIError`, so
#   code that catches the SDK's errors does not catch it.
#
# So who cuts a stream between the two must break the connection, at best behind an error event.
#
# Output, and exit status 0 where that is so, 1 where the SDK does otherwise:
#   proper end: one event, then the end
#   error event: one event, then google.genai.errors.ServerError 503
#   closed: one event, then httpx2.RemoteProtocolError
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q google-genai==3.6.1 httpx2==2.16.2
"$folder/venv/bin/python" - >"$folder/seen" <<'PYTHON'
import socket
import threading

from google import genai

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
TEXT = b'data: {"candidates": [{"content": {"parts": [{"text": "one"}], "role": "model"}}]}\r\n\r\n'
ERROR = b'data: {"error": {"code": 503, "message": "cut", "status": "UNAVAILABLE"}}\r\n\r\n'
CASES = {"proper end": ([TEXT], b"0\r\n\r\n"), "error event": ([TEXT, ERROR], b"0\r\n\r\n"), "closed": ([TEXT], b"")}


def answer(listener, events, end):
    connection, _ = listener.accept()
    with connection:
        request = b""
        while b"\r\n\r\n" not in request:
            request += connection.recv(65536)
        missing = int(request.lower().split(b"content-length:")[1].split(b"\r\n")[0])
        missing -= len(request.partition(b"\r\n\r\n")[2])
        while missing > 0:
            missing -= len(connection.recv(65536))
        connection.sendall(HEAD + b"".join(b"%x\r\n%b\r\n" % (len(event), event) for event in events) + end)


for name, (events, end) in CASES.items():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = threading.Thread(target=answer, args=(listener, events, end))
        server.start()
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        client = genai.Client(api_key="none", http_options={"base_url": url})
        texts = []
        try:
            for part in client.models.generate_content_stream(model="gemini-2.5-flash", contents="hi"):
                assert part.candidates[0].finish_reason is None
                texts.append(part.text)
        except Exception as error:
            kind = type(error)
            ending = f"{kind.__module__}.{kind.__qualname__} {getattr(error, 'code', '')}".strip()
        else:
            ending = "the end"
        assert texts == ["one"], texts
        print(f"{name}: one event, then {ending}")
        server.join()
PYTHON
cat "$folder/seen"
sed -n 's/^#   \(.*: one event.*\)/\1/p' "$0" | diff - "$folder/seen"
