#!/usr/bin/env bash
# @ai-sdk/google 4.0.121 with ai 7.0.173 (Node 20): `experimental_generateVideo` asks for a video and for its operation
# at the provider's `baseURL`, but fetches the video from the address in Google's answer, whose host is Google's. The key
# goes with that request only if the address has the origin of the base URL. So through a gateway the video, which is
# made and paid for by then, is fetched from Google's own host without a key, and the call ends with that host's refusal.
#
# `fetch` is replaced here, so nothing leaves the machine: the operation is answered as Google does, done at once. Requests in order: the
# video is asked for, its operation is read, the video is fetched.
#
# - base URL at gateway.example: the video is fetched from generativelanguage.googleapis.com without a key.
# - base URL at generativelanguage.googleapis.com: the same, with the key in the query.
#
# An application gets the video by itself, from `files/x:download` below its base URL, as Google's own SDK does.
#
# Output, and exit status 0 where that is so, 1 where the SDK does otherwise:
#   gateway.example: POST gateway.example with key, GET gateway.example with key, GET generativelanguage.googleapis.com without key
#   generativelanguage.googleapis.com: POST generativelanguage.googleapis.com with key, GET generativelanguage.googleapis.com with key, GET generativelanguage.googleapis.com with key
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm install --silent --no-audit --no-fund --ignore-scripts @ai-sdk/google@4.0.121 ai@7.0.173
cat >video.mjs <<'JAVASCRIPT'
import { createGoogle } from "@ai-sdk/google";
import { experimental_generateVideo as generateVideo } from "ai";

const GOOGLE = "generativelanguage.googleapis.com";
const VIDEO = `https://${GOOGLE}/v1beta/files/f:download?alt=media`;
const DONE = { name: "models/veo/operations/o", done: true, response: {
  generateVideoResponse: { generatedSamples: [{ video: { uri: VIDEO } }] },
} };
let seen;
globalThis.fetch = async (address, { method = "GET", headers } = {}) => {
  const url = new URL(address);
  const key = new Headers(headers).get("x-goog-api-key") ?? url.searchParams.get("key");
  seen.push(`${method} ${url.hostname} ${key ? "with" : "without"} key`);
  return url.searchParams.has("alt")
    ? new Response(new Uint8Array(8), { headers: { "content-type": "video/mp4" } })
    : Response.json(DONE);
};

for (const host of ["gateway.example", GOOGLE]) {
  seen = [];
  const google = createGoogle({ apiKey: "key", baseURL: `https://${host}/v1beta` });
  const { video } = await generateVideo({ model: google.video("veo-3.1-generate-preview"), prompt: "Bees" });
  if (video.uint8Array.length !== 8) process.exit(1);
  console.log(`${host}: ${seen.join(", ")}`);
}
JAVASCRIPT
node video.mjs >seen
cat seen
diff - seen <<'EXPECTED'
gateway.example: POST gateway.example with key, GET gateway.example with key, GET generativelanguage.googleapis.com without key
generativelanguage.googleapis.com: POST generativelanguage.googleapis.com with key, GET generativelanguage.googleapis.com with key, GET generativelanguage.googleapis.com with key
EXPECTED
