#!/usr/bin/env bash
# @google/genai 3.3.0 asks for a Live session at `//ws/…`, with two slashes, where its base URL has no path, and
# sends an empty `Cookie` header with each Interactions call.
#
# A server on loopback writes down what arrives and refuses it. The client is pointed at it by `httpOptions.baseUrl`
# without and with a path. `//ws` is what Google itself is asked for as well, since its address has no path; so a
# stand-in for Google must take both, and a comparison of what reaches it must not count the slash. The cookie is
# one that says nothing: a gateway that withholds cookies changes nothing by it.
#
# Output, and exit status 0 where that is so, 1 where the SDK does otherwise:
#   Live, base without a path: //ws/google.ai.generativelanguage.v1.GenerativeService.BidiGenerateContent
#   Live, base with a path: /some/ws/google.ai.generativelanguage.v1.GenerativeService.BidiGenerateContent
#   Interactions: /v1/interactions with the cookie ''
#   generateContent: /v1/models/gemini-2.5-flash:generateContent without a cookie
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cat >"$folder/package.json" <<<'{"private": true, "type": "module"}'
npm install --prefix "$folder" --no-audit --no-fund --loglevel=error @google/genai@3.3.0 >"$folder/npm"
cat >"$folder/seen.mjs" <<'JAVASCRIPT'
import { createServer } from "node:http";
import { GoogleGenAI } from "@google/genai";

const server = createServer();
const arrival = () =>
  new Promise((resolve) => {
    server.removeAllListeners("request").once("request", (request, response) => {
      request.resume();
      response.writeHead(400, { "content-type": "application/json", "x-should-retry": "false" }).end("{}");
      resolve(request);
    });
    server.removeAllListeners("upgrade").once("upgrade", (request, socket) => {
      socket.end("HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n");
      resolve(request);
    });
  });
await new Promise((ready) => server.listen(0, "127.0.0.1", ready));
const address = `http://127.0.0.1:${server.address().port}`;
const ai = (baseUrl) => new GoogleGenAI({ apiKey: "none", httpOptions: { baseUrl } });
const asked = async (call) => {
  const [{ url, headers }] = await Promise.all([arrival(), call().catch(() => {})]);
  return { path: url.split("?")[0], cookie: "cookie" in headers ? `with the cookie '${headers.cookie}'` : "without a cookie" };
};
const live = (base) => asked(() => ai(base).live.connect({ model: "none", callbacks: { onmessage() {}, onerror() {} } }));

console.log(`Live, base without a path: ${(await live(address)).path}`);
console.log(`Live, base with a path: ${(await live(`${address}/some`)).path}`);
const interaction = await asked(() => ai(address).interactions.create({ model: "none", input: "hi" }));
console.log(`Interactions: ${interaction.path} ${interaction.cookie}`);
const generated = await asked(() => ai(address).models.generateContent({ model: "gemini-2.5-flash", contents: "hi" }));
console.log(`generateContent: ${generated.path} ${generated.cookie}`);
process.exit();
JAVASCRIPT
(cd "$folder" && node seen.mjs) >"$folder/seen"
cat "$folder/seen"
sed -n 's/^#   \(Live, \|Interactions\|generateContent\)/\1/p' "$0" | diff - "$folder/seen"
