// Vercel's AI SDK with its provider for Google.
import { BASE, KEY, operation, run } from "./driver.mjs";

// recipe
import { createGoogle } from "@ai-sdk/google";

const google = createGoogle({ apiKey: KEY, baseURL: `${BASE}/v1beta` });
// end of recipe
import { embed, embedMany, generateObject, generateText, jsonSchema, streamText, tool } from "ai";

const model = google("gemini-2.5-flash");
const told = async (result) => ({
  text: result.text, usage: result.usage, finishReason: result.finishReason, warnings: result.warnings,
  metadata: result.providerMetadata, response: { headers: result.response.headers, body: result.response.body },
});

operation("generate", async () => told(await generateText({ model, prompt: "Tell me of bees" })));
operation("stream", async () => {
  const stream = streamText({ model, prompt: "Tell me of bees", onError: () => {} });
  const parts = [];
  for await (const part of stream.fullStream) parts.push(part);
  return parts;
});
operation("structured output", async () => {
  const schema = jsonSchema({ type: "object", properties: { name: { type: "string" }, age: { type: "integer" } } });
  const { object, usage } = await generateObject({ model, schema, prompt: "Invent one" });
  return { object, usage };
});
operation("function call", async () => {
  const weather = tool({
    description: "The weather in a city",
    inputSchema: jsonSchema({ type: "object", properties: { city: { type: "string" } } }),
  });
  const { toolCalls, usage } = await generateText({ model, tools: { weather }, prompt: "Weather in Oslo?" });
  return { calls: toolCalls.map(({ toolName, input }) => ({ toolName, input })), usage };
});
operation("embed", () => embed({ model: google.textEmbedding("gemini-embedding-001"), value: "three words here" }));
operation("embed many", () =>
  embedMany({ model: google.textEmbedding("gemini-embedding-2"), values: ["three words here", "again"] }),
);
operation("error 400", () => generateText({ model, prompt: "!400" }));
operation("error 404", () => generateText({ model: google("bard-1"), prompt: "Say hello" }));
operation("error 429", () => generateText({ model, prompt: "!429", maxRetries: 0 }));
operation("error 503", () => generateText({ model, prompt: "!503", maxRetries: 0 }));
operation("error in stream", async () => {
  const parts = [];
  for await (const part of streamText({ model, prompt: "!error tell me of bees", onError: () => {} }).fullStream)
    parts.push(part);
  return parts;
});
operation("broken stream", async () => {
  const parts = [];
  for await (const part of streamText({ model, prompt: "!cut tell me of bees", onError: () => {} }).fullStream)
    parts.push(part);
  return parts;
});

await run();
