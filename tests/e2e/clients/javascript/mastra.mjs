// Mastra, over Google's OpenAI-style routes.
import { BASE, KEY, operation, run } from "./driver.mjs";

// recipe
import { Agent } from "@mastra/core/agent";

const agent = new Agent({
  id: "bees",
  name: "bees",
  instructions: "Be brief",
  model: { id: "google/gemini-2.5-flash", url: `${BASE}/v1beta/openai`, apiKey: KEY },
});
// end of recipe

operation("generate", async () => {
  const { text, usage, finishReason } = await agent.generate("Tell me of bees", { maxRetries: 0 });
  return { text, usage, finishReason };
});
operation("error 400", async () => (await agent.generate("!400", { maxRetries: 0 })).text);

await run();
