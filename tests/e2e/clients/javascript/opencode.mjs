// opencode.
import { BASE, KEY, operation, run } from "./driver.mjs";
import { command, settings } from "./command-line.mjs";

// recipe
settings(".config/opencode/opencode.json", {
  provider: { google: { options: { baseURL: `${BASE}/v1beta`, apiKey: KEY } } },
  model: "google/gemini-2.5-flash",
  small_model: "google/gemini-2.5-flash-lite",
});
// end of recipe

operation("run", () => command("opencode", ["run", "Tell me of bees"], { OPENCODE_DISABLE_AUTOUPDATE: "1" }));

await run();
