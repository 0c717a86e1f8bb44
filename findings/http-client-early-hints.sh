#!/usr/bin/env bash
# Python's http.client, and with it urllib3 2.8.0 and requests 2.34.2, takes a 103 Early Hints for the response.
#
# A server may send informational responses (1xx) before the final one, and a proxy must pass them on (RFC 9110
# §15.2). http.client skips 100 only. Seen here, with a server that sends 103 and then 200 with a body: http.client
# and urllib3 return status 103 and an empty body, and the 200 stays in the socket; httpx 0.28.1 returns the 200.
#
# Gatekeeper passes 1xx of its upstream on, as it has to. Google sends none to clients of HTTP/1.1, as far as was
# seen; a CDN or proxy between the two that adds Early Hints would break google-generativeai's REST client.
#
# Output, and exit status 0 where that is so, 1 where one of them does otherwise:
#   http.client  103 b''
#   urllib3      103 b''
#   httpx        200 b'hi'
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --disable-pip-version-check urllib3==2.8.0 requests==2.34.2 httpx==0.28.1
"$folder/venv/bin/python" - <<'PYTHON'
import http.client
import socket
import sys
import threading

import httpx
import urllib3

HINTS = b"HTTP/1.1 103 Early Hints\r\nLink: </a>; rel=preload\r\n\r\n"
FINAL = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nhi"


def serve(listener):
    while True:
        client, _ = listener.accept()
        with client:
            client.recv(65536)
            client.sendall(HINTS + FINAL)


listener = socket.create_server(("127.0.0.1", 0))
threading.Thread(target=serve, args=(listener,), daemon=True).start()
host, port = listener.getsockname()
connection = http.client.HTTPConnection(host, port, timeout=5)
connection.request("GET", "/")
response = connection.getresponse()
seen = {"http.client": (response.status, response.read())}
connection.close()
response = urllib3.PoolManager(retries=False, timeout=5).request("GET", f"http://{host}:{port}/")
seen["urllib3"] = (response.status, response.data)
response = httpx.get(f"http://{host}:{port}/", timeout=5)
seen["httpx"] = (response.status_code, response.content)
for name, (status, body) in seen.items():
    print(f"{name:12} {status} {body!r}")
sys.exit(seen != {"http.client": (103, b""), "urllib3": (103, b""), "httpx": (200, b"hi")})
PYTHON
