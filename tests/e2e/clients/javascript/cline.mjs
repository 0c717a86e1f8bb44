// cline.
import { BASE, KEY, operation, run } from "./driver.mjs";
import { command, settings } from "./command-line.mjs";

// recipe
settings(".cline/data/settings/providers.json", {
  version: 1,
  lastUsedProvider: "gemini",
  modes: {},
  providers: {
    gemini: {
      settings: { provider: "gemini", apiKey: KEY, model: "gemini-2.5-flash", baseUrl: BASE },
      updatedAt: "2026-01-01T00:00:00Z",
      tokenSource: "manual",
    },
  },
});
// end of recipe

operation("prompt", () => command("cline", ["-y", "Tell me of bees"]));

await run();
