// gemini-cli.
import { BASE, KEY, operation, run } from "./driver.mjs";
import { command, settings } from "./command-line.mjs";

// recipe
settings(".gemini/settings.json", { security: { auth: { selectedType: "gemini-api-key" } } });
const variables = { GEMINI_API_KEY: KEY, GOOGLE_GEMINI_BASE_URL: BASE };
// end of recipe

const said = (text) =>
  command("gemini", ["--skip-trust", "-m", "gemini-2.5-flash", "-p", text], {
    ...variables, GEMINI_CLI_TRUST_WORKSPACE: "true", GEMINI_TELEMETRY_ENABLED: "false",
  });

operation("prompt", () => said("Tell me of bees"));

await run();
