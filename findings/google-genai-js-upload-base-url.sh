#!/usr/bin/env bash
# @google/genai 3.3.0 (Node 20): a base URL that is given to one call, and not to the client, holds for the first
# request of `files.upload` only. The requests that carry the file go to Google's own host, with the caller's key,
# whatever host the upload address (X-Goog-Upload-URL) names.
#
# `fetch` is replaced here, so nothing leaves the machine: the start is answered with an address at gateway.example,
# as a gateway does.
#
# - base URL of the client: start and file go to gateway.example; of the address scheme, host and port are replaced
#   by the base URL's, path and query stay.
# - base URL of the call (`config.httpOptions.baseUrl`): the start goes to gateway.example, the file and the header
#   x-goog-api-key to generativelanguage.googleapis.com.
#
# So a base URL belongs into the client. Python's google-genai 3.6.1 takes it from the call too.
#
# Output, and exit status 0 where that is so, 1 where the SDK does otherwise:
#   client: POST gateway.example with key, POST gateway.example with key
#   call: POST gateway.example with key, POST generativelanguage.googleapis.com with key
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm install --silent --no-audit --no-fund --ignore-scripts @google/genai@3.3.0
cat >upload.mjs <<'JAVASCRIPT'
import { GoogleGenAI } from "@google/genai";

const BASE = { baseUrl: "https://gateway.example/gemini" };
const ADDRESS = "https://gateway.example/gemini/upload/v1/files?upload_id=u";
let seen;
globalThis.fetch = async (url, { method, headers }) => {
  const sent = new Headers(headers);
  seen.push(`${method} ${new URL(url).hostname} ${sent.get("x-goog-api-key") ? "with" : "without"} key`);
  const starts = sent.get("x-goog-upload-command") === "start";
  const answer = starts ? { "x-goog-upload-url": ADDRESS } : { "x-goog-upload-status": "final" };
  return new Response('{"file": {"name": "files/f"}}', { headers: answer });
};

for (const [name, client, call] of [["client", BASE, undefined], ["call", undefined, BASE]]) {
  seen = [];
  const ai = new GoogleGenAI({ apiKey: "key", httpOptions: client });
  const file = new Blob(["text"], { type: "text/plain" });
  const uploaded = await ai.files.upload({ file, config: { httpOptions: call } });
  if (uploaded.name !== "files/f") process.exit(1);
  console.log(`${name}: ${seen.join(", ")}`);
}
JAVASCRIPT
node upload.mjs >seen
cat seen
diff - seen <<'EXPECTED'
client: POST gateway.example with key, POST gateway.example with key
call: POST gateway.example with key, POST generativelanguage.googleapis.com with key
EXPECTED
