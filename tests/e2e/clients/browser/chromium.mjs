// Bundles the page, serves it under each origin, and opens it with each of PAGES in headless Chromium.
import { mkdtemp, rm } from "node:fs/promises";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { build } from "esbuild";
import { chromium } from "playwright-core";

const { CHROMIUM, MEGABYTES } = process.env;
const pages = Object.entries(JSON.parse(process.env.PAGES)); // by name: origin, base, key
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

const origins = new Set(pages.map(([, [origin]]) => origin));
const servers = await Promise.all([...origins].map(serve));
const profile = await mkdtemp(join(tmpdir(), "gatekeeper-chromium-"));
const browser = await chromium.launchPersistentContext(profile, { executablePath: CHROMIUM, args: FLAGS });
const told = {};
for (const [name, [origin, BASE, KEY]] of pages) {
  const page = await browser.newPage();
  await page.goto(`${origin}/#${new URLSearchParams({ BASE, KEY, MEGABYTES })}`);
  told[name] = await page.evaluate(() => window.tryOut());
}
await browser.close();
await rm(profile, { recursive: true, force: true });
servers.forEach((server) => server.close());
console.log(JSON.stringify(told));
