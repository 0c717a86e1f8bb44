#!/usr/bin/env bash
# google-genai 3.6.1 raises IndexError from a loop over a list that has a page without items after the first.
#
# AIP-158 allows a service to return fewer items than were asked for, none included, with a next_page_token, and a
# last page without any. The first such page is skipped; a later one ends the loop with IndexError, whether it has a
# token or not, and the items behind it are not reached. So the gateway's lists give no token unless an item is there
# for it.
#
# Output, and exit status 0 where that is so, 1 where the package does otherwise:
#   [], then [a]: a
#   [a], then []: a IndexError
#   [a], then [] with a token, then [b]: a IndexError
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q google-genai==3.6.1
"$folder/venv/bin/python" - >"$folder/seen" <<'PYTHON'
import json
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from urllib.parse import parse_qs, urlsplit

from google import genai

pages = []


class Lists(BaseHTTPRequestHandler):
    def do_GET(self):
        token = int(parse_qs(urlsplit(self.path).query).get("pageToken", ["0"])[0])
        page = {"files": [{"name": name} for name in pages[token]]}
        if token + 1 < len(pages):
            page["nextPageToken"] = str(token + 1)
        body = json.dumps(page).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


server = ThreadingHTTPServer(("127.0.0.1", 0), Lists)
Thread(target=server.serve_forever, daemon=True).start()
client = genai.Client(api_key="x", http_options={"base_url": f"http://127.0.0.1:{server.server_port}"})
for what, pages in (
    ("[], then [a]", [[], ["a"]]),
    ("[a], then []", [["a"], []]),
    ("[a], then [] with a token, then [b]", [["a"], [], ["b"]]),
):
    seen = []
    try:
        for file in client.files.list():
            seen.append(file.name)
    except IndexError as error:
        seen.append(type(error).__name__)
    print(f"{what}: {' '.join(seen)}")
PYTHON
cat "$folder/seen"
sed -n '/^# Output/,/^set/s/^#   //p' "$0" | diff - "$folder/seen"
