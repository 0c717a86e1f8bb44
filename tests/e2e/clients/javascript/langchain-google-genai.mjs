// @langchain/google-genai.
import { BASE, KEY, operation, run } from "./driver.mjs";

// recipe
import { ChatGoogleGenerativeAI, GoogleGenerativeAIEmbeddings } from "@langchain/google-genai";

const chat = new ChatGoogleGenerativeAI({ model: "gemini-2.5-flash", apiKey: KEY, baseUrl: BASE });
const embeddings = new GoogleGenerativeAIEmbeddings({ model: "gemini-embedding-001", apiKey: KEY, baseUrl: BASE });
// end of recipe

const once = new ChatGoogleGenerativeAI({ model: "gemini-2.5-flash", apiKey: KEY, baseUrl: BASE, maxRetries: 0 });
const told = ({ content, usage_metadata, response_metadata, tool_calls }) => ({
  content, usage_metadata, response_metadata, calls: tool_calls?.map(({ name, args }) => ({ name, args })),
});

operation("invoke", async () => told(await chat.invoke("Tell me of bees")));
operation("stream", async () => {
  const chunks = [];
  for await (const chunk of await chat.stream("Tell me of bees")) chunks.push(told(chunk));
  return chunks;
});
operation("tool call", async () => {
  const parameters = { type: "object", properties: { city: { type: "string" } } };
  const tools = [{ type: "function", function: { name: "weather", description: "Of a city", parameters } }];
  return told(await chat.bindTools(tools).invoke("Weather in Oslo?"));
});
operation("embed query", () => embeddings.embedQuery("three words here"));
operation("embed documents", () => embeddings.embedDocuments(["three words here", "again"]));
operation("error 400", () => once.invoke("!400"));
operation("error 429", () => once.invoke("!429"));

await run();
