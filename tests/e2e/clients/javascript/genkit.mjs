// Genkit with its plugin for Google.
import { BASE, KEY, operation, run } from "./driver.mjs";

// recipe
import { googleAI } from "@genkit-ai/google-genai";
import { genkit } from "genkit";

const ai = genkit({ plugins: [googleAI({ apiKey: KEY, baseUrl: BASE })] });
// end of recipe

const model = googleAI.model("gemini-2.5-flash");
const told = ({ text, usage, finishReason }) => ({ text, usage, finishReason });

operation("generate", async () => told(await ai.generate({ model, prompt: "Tell me of bees" })));
operation("stream", async () => {
  const { stream, response } = ai.generateStream({ model, prompt: "Tell me of bees" });
  const chunks = [];
  for await (const chunk of stream) chunks.push(chunk.text);
  return { chunks, ...told(await response) };
});
operation("embed", () => ai.embed({ embedder: googleAI.embedder("gemini-embedding-001"), content: "three words here" }));
operation("error 400", async () => told(await ai.generate({ model, prompt: "!400" })));
operation("error 429", async () => told(await ai.generate({ model, prompt: "!429" })));

await run();
