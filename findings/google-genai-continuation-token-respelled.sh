#!/usr/bin/env bash
# google-genai 3.6.1 does not send the continuation token of a long decode back as it got it.
#
# A response that ends with the finish reason CONTINUATION has a `continuationToken`, which is to be passed on
# "opaque" with the next request. The SDK has it as bytes: it decodes the base64 of the response, in either
# alphabet, and encodes it again for URLs, so that `+` and `/` come back as `-` and `_`. A server, proxy or
# log that compares the token as text does not find it. `generate_content` goes on by itself; the server here,
# on loopback, answers with such a token first.
#
# Output, and exit status 0 where that is so, 1 where the SDK does otherwise:
#   given  +/+/+v/8AQ==
#   sent   -_-_-v_8AQ==
#   as bytes the same: True
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q google-genai==3.6.1 httpx2==2.16.2
"$folder/venv/bin/python" - >"$folder/seen" <<'PYTHON'
import base64
import json
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

from google import genai

GIVEN = "+/+/+v/8AQ=="
bodies = []


class Google(BaseHTTPRequestHandler):
    def do_POST(self):
        bodies.append(json.loads(self.rfile.read(int(self.headers["content-length"]))))
        candidate = {"content": {"parts": [{"text": "a"}], "role": "model"}, "finishReason": "STOP"}
        if len(bodies) == 1:
            candidate |= {"finishReason": "CONTINUATION", "continuationToken": GIVEN}
        answer = json.dumps({"candidates": [candidate]}).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_):
        pass


server = HTTPServer(("127.0.0.1", 0), Google)
threading.Thread(target=server.serve_forever, daemon=True).start()
client = genai.Client(api_key="none", http_options={"base_url": f"http://127.0.0.1:{server.server_port}"})
client.models.generate_content(model="gemini-2.5-flash", contents="hi")
sent = bodies[1]["continuationToken"]
print("given ", GIVEN)
print("sent  ", sent)
print("as bytes the same:", base64.urlsafe_b64decode(sent) == base64.b64decode(GIVEN))
PYTHON
cat "$folder/seen"
diff "$folder/seen" - <<'EXPECTED'
given  +/+/+v/8AQ==
sent   -_-_-v_8AQ==
as bytes the same: True
EXPECTED
