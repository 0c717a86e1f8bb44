// @langchain/google.
import { BASE, KEY, operation, run } from "./driver.mjs";

// recipe
import { ChatGoogle } from "@langchain/google";

const chat = new ChatGoogle({ model: "gemini-2.5-flash", apiKey: KEY, endpoint: BASE });
// end of recipe

const once = new ChatGoogle({ model: "gemini-2.5-flash", apiKey: KEY, endpoint: BASE, maxRetries: 0 });
const told = ({ content, usage_metadata, response_metadata }) => ({ content, usage_metadata, response_metadata });

operation("invoke", async () => told(await chat.invoke("Tell me of bees")));
operation("stream", async () => {
  const chunks = [];
  for await (const chunk of await chat.stream("Tell me of bees")) chunks.push(told(chunk));
  return chunks;
});
operation("error 400", () => once.invoke("!400"));
operation("error 429", () => once.invoke("!429"));

await run();
