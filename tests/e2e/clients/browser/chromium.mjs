// Bundles the page, serves it under two origins, and opens it under each in headless Chromium.
import { mkdtemp, rm } from "node:fs/promises";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { build } from "esbuild";
import { chromium } from "playwright-core";

const { CHROMIUM, ORIGIN, OTHER_ORIGIN, BASE, KEY, MEGABYTES } = process.env;
// Without the last four it calls its maker's hosts.
const FLAGS = [
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
];

const bundled = await build({ entryPoints: ["page.mjs"], bundle: true, write: false, platform: "browser" });
const script = bundled.outputFiles[0].text;

function serve(origin) {
  const server = createServer((request, response) => {
    const isScript = request.url === "/page.js";
    response.setHeader("content-type", isScript ? "text/javascript" : "text/html");
    response.end(isScript ? script : '<!doctype html><title>page</title><script src="/page.js"></script>');
  });
  return new Promise((listening) => server.listen(new URL(origin).port, "localhost", () => listening(server)));
}

const servers = [await serve(ORIGIN), await serve(OTHER_ORIGIN)];
const profile = await mkdtemp(join(tmpdir(), "gatekeeper-chromium-"));
const browser = await chromium.launchPersistentContext(profile, { executablePath: CHROMIUM, args: FLAGS });
const told = { version: browser.browser()?.version() };
for (const [name, origin] of Object.entries({ allowed: ORIGIN, other: OTHER_ORIGIN })) {
  const page = await browser.newPage();
  await page.goto(origin);
  const options = { baseUrl: BASE, apiKey: KEY, megabytes: Number(MEGABYTES) };
  told[name] = await page.evaluate((given) => window.tryOut(given), options);
}
await browser.close();
await rm(profile, { recursive: true, force: true });
servers.forEach((server) => server.close());
console.log(JSON.stringify(told));
