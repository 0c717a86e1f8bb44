#!/usr/bin/env bash
# openai 3.57.0 (Python) leaves Google's sentence out of the text of an exception: on its paths in OpenAI's form Google
# puts an error into an array of one element, and the client looks for a message in an object only.
#
# A server on loopback answers a chat completion with the same error twice, as Google writes it and as an object. The
# whole body is in `exception.body` either way. A gateway that refuses such a call by itself is better off with an
# object: its sentence is then what a user sees.
#
# Output, and exit status 0 where that is so, 1 where the client does otherwise:
#   array: Error code: 404
#   object: Error code: 404 - models/none is not found
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --disable-pip-version-check openai==3.57.0 2>"$folder/pip"
cat >"$folder/seen.py" <<'PYTHON'
import json
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread

import openai

ERROR = {"error": {"code": 404, "message": "models/none is not found", "status": "NOT_FOUND"}}
BODIES = {"array": [ERROR], "object": ERROR}


class Google(BaseHTTPRequestHandler):
    def do_POST(self):
        self.rfile.read(int(self.headers["content-length"]))
        body = json.dumps(BODIES[self.path.split("/")[1]]).encode()
        self.send_response(404)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


server = HTTPServer(("127.0.0.1", 0), Google)
Thread(target=server.serve_forever, daemon=True).start()
for kind in BODIES:
    client = openai.OpenAI(api_key="none", base_url=f"http://127.0.0.1:{server.server_port}/{kind}")
    try:
        client.chat.completions.create(model="none", messages=[{"role": "user", "content": "hi"}])
    except openai.NotFoundError as error:
        print(f"{kind}: {error}")
PYTHON
"$folder/venv/bin/python" "$folder/seen.py" | tee "$folder/seen"
sed -n 's/^#   \(array\|object\)/\1/p' "$0" | diff - "$folder/seen"
