// TanStack AI for Gemini.
import { BASE, KEY, operation, run } from "./driver.mjs";

// recipe
import { createGeminiChat } from "@tanstack/ai-gemini";

process.env.GOOGLE_GEMINI_BASE_URL = BASE; // for `uploadGeminiFile`, which ignores `baseURL`
const adapter = createGeminiChat("gemini-2.5-flash", KEY, { baseURL: BASE });
// end of recipe
import { chat } from "@tanstack/ai";

const said = (content) => chat({ adapter, messages: [{ role: "user", content }] });
const told = async (stream) => {
  const events = [];
  for await (const { type, delta, error, usage, finishReason } of stream)
    events.push({ type, delta, error, usage, finishReason });
  return events;
};

operation("chat", () => told(said("Tell me of bees")));
operation("error 400", () => told(said("!400")));
operation("error 429", () => told(said("!429")));

await run();
