// promptfoo.
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { BASE, KEY, operation, run } from "./driver.mjs";
import { FOLDER, command, settings } from "./command-line.mjs";

// recipe
settings("project/promptfooconfig.yaml", `\
prompts: ["Tell me of bees"]
providers: [{id: "google:gemini-2.5-flash", config: {apiBaseUrl: "${BASE}", apiKey: "${KEY}"}}]
tests: [{vars: {topic: bees}}]
`);
// end of recipe

operation("eval", async () => {
  const variables = { PROMPTFOO_DISABLE_TELEMETRY: "1", PROMPTFOO_DISABLE_UPDATE: "1", PROMPTFOO_CACHE_ENABLED: "false" };
  const { status } = await command("promptfoo", ["eval", "--no-cache", "-o", "out.json"], variables);
  const { results } = JSON.parse(await readFile(join(process.env.HOME, FOLDER, "out.json"), "utf8"));
  const told = results.results.map(({ response, cost, error }) => ({ output: response?.output, usage: response?.tokenUsage, cost, error }));
  return { status, told };
});

await run();
