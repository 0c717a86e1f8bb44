// qwen-code.
import { BASE, KEY, operation, run } from "./driver.mjs";
import { command } from "./command-line.mjs";

// recipe
const variables = { GEMINI_API_KEY: KEY, GOOGLE_GEMINI_BASE_URL: BASE };
const words = ["--auth-type", "gemini", "-m", "gemini-2.5-flash"];
// end of recipe

operation("prompt", () => command("qwen", [...words, "-p", "Tell me of bees"], variables));

await run();
