#!/usr/bin/env bash
# google-genai 3.6.1 (with websockets 17.4) dials `wss` for a Live session, also where its base URL says `http`, or
# `ws`.
#
# A server on loopback takes one connection and reads its first bytes, then closes. With an `http` base URL an
# ordinary call begins with a request line; a Live session begins with a TLS record (0x16 0x03). So a gateway that
# has no TLS can serve the calls of this client and never its Live sessions, and the client's error does not say
# why.
#
# Output, and exit status 0 where that is so, 1 where the SDK does otherwise:
#   a call at http://: a request line
#   Live at http://: a TLS record
#   Live at ws://: a TLS record
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q google-genai==3.6.1 websockets==17.4
"$folder/venv/bin/python" - >"$folder/seen" <<'PYTHON'
import asyncio
import contextlib
import socket
from concurrent.futures import ThreadPoolExecutor

from google import genai


def first_bytes(listener):
    connection, _ = listener.accept()
    with connection:
        return connection.recv(3)


def seen(scheme, use):
    with socket.create_server(("127.0.0.1", 0)) as listener, ThreadPoolExecutor() as pool:
        listener.settimeout(20)
        arrived = pool.submit(first_bytes, listener)
        base = f"{scheme}://127.0.0.1:{listener.getsockname()[1]}"
        client = genai.Client(api_key="none", http_options={"base_url": base})
        with contextlib.suppress(Exception):
            use(client)
        return {b"\x16\x03": "a TLS record"}.get(arrived.result()[:2], "a request line")


async def live(client):
    async with client.aio.live.connect(model="none"):
        pass


def call(client):
    client.models.generate_content(model="none", contents="hi")


print("a call at http://:", seen("http", call))
for scheme in ("http", "ws"):
    print(f"Live at {scheme}://:", seen(scheme, lambda client: asyncio.run(live(client))))
PYTHON
cat "$folder/seen"
sed -n 's/^#   \(a call\|Live\)/\1/p' "$0" | diff - "$folder/seen"
