#!/usr/bin/env bash
# @google/genai 3.3.0 (Node 20): `files.upload` of an empty file starts a resumable upload and never ends it. No
# second request is sent, so the server keeps an unfinished upload and makes no file; the response to the start is
# then read as the file, and its empty body raises "SyntaxError: Unexpected end of JSON input".
#
# `fetch` is replaced here, so nothing leaves the machine: the start is answered with an upload address and an empty
# body, as Google does.
#
# Python's google-genai 3.6.1 sends the empty file with `upload, finalize`, and returns a file of 0 bytes.
#
# Output, and exit status 0 where that is so, 1 where the SDK does otherwise:
#   0 bytes: start; SyntaxError: Unexpected end of JSON input
#   1 bytes: start; upload, finalize; files/f
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm install --silent --no-audit --no-fund --ignore-scripts @google/genai@3.3.0
cat >upload.mjs <<'JAVASCRIPT'
import { GoogleGenAI } from "@google/genai";

let seen;
globalThis.fetch = async (url, { headers }) => {
  const command = new Headers(headers).get("x-goog-upload-command");
  seen.push(command);
  if (command !== "start") {
    return new Response('{"file": {"name": "files/f"}}', { headers: { "x-goog-upload-status": "final" } });
  }
  const address = "https://generativelanguage.googleapis.com/upload/v1/files?upload_id=u";
  return new Response("", { headers: { "x-goog-upload-url": address, "x-goog-upload-status": "active" } });
};

const ai = new GoogleGenAI({ apiKey: "key" });
for (const size of [0, 1]) {
  seen = [];
  const file = new Blob([new Uint8Array(size)], { type: "text/plain" });
  const ended = await ai.files.upload({ file }).then((made) => made.name, (error) => `${error}`);
  console.log(`${size} bytes: ${[...seen, ended].join("; ")}`);
}
JAVASCRIPT
node upload.mjs >seen
cat seen
diff - seen <<'EXPECTED'
0 bytes: start; SyntaxError: Unexpected end of JSON input
1 bytes: start; upload, finalize; files/f
EXPECTED
