// Continue's command line.
import { BASE, KEY, operation, run } from "./driver.mjs";
import { command, settings } from "./command-line.mjs";

// recipe
settings(".continue/config.yaml", `\
name: local
version: 1.0.0
schema: v1
models:
  - {name: flash, provider: gemini, model: gemini-2.5-flash, apiKey: ${KEY}, roles: [chat]}
`);
const variables = { GOOGLE_GEMINI_BASE_URL: BASE };
// end of recipe

operation("prompt", () =>
  command("cn", ["--config", `${process.env.HOME}/.continue/config.yaml`, "-p", "Tell me of bees"], {
    ...variables, CONTINUE_TELEMETRY_ENABLED: "0",
  }),
);

await run();
