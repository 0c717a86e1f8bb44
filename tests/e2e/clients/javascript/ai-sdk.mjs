// Vercel's AI SDK with its provider for Google.
import { BASE, KEY, operation, run } from "./driver.mjs";

// recipe
import { createGoogle } from "@ai-sdk/google";

const google = createGoogle({ apiKey: KEY, baseURL: `${BASE}/v1beta` });
// end of recipe
import {
  embed, embedMany, experimental_streamTranscribe, generateImage, generateObject, generateSpeech, generateText,
  jsonSchema, streamText, tool, uploadFile,
} from "ai";

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
operation("image", async () => {
  const { images } = await generateImage({ model: google.image("gemini-2.5-flash-image"), prompt: "Bees" });
  return images.map(({ mediaType, base64 }) => ({ mediaType, base64 }));
});
operation("speech", async () => {
  const { audio } = await generateSpeech({ model: google.speech("gemini-2.5-flash-preview-tts"), text: "Bees" });
  return audio.uint8Array.length;
});
let file;
operation("upload file", async () => {
  const picture = { data: new Uint8Array(100_000), mediaType: "image/png", filename: "bees.png" };
  file = (await uploadFile({ api: google.files(), ...picture })).providerReference;
  return file;
});
operation("generate with file", async () => {
  const content = [{ type: "text", text: "What is it?" }, { type: "file", mediaType: "image/png", data: file }];
  return told(await generateText({ model, messages: [{ role: "user", content }] }));
});
operation("interaction", async () =>
  told(await generateText({ model: google.interactions("gemini-2.5-flash"), prompt: "Tell me of bees" })),
);
operation("interaction as stream", async () => {
  const { fullStream } = streamText({ model: google.interactions("gemini-2.5-flash"), prompt: "Tell me of bees" });
  const kinds = [];
  for await (const { type } of fullStream) kinds.push(type);
  return kinds;
});
operation("live transcription", async () => {
  const audio = new ReadableStream({
    start(controller) {
      controller.enqueue(new Uint8Array(32_000));
      controller.close();
    },
  });
  const live = google.transcription("gemini-live-2.5-flash-preview");
  const inputAudioFormat = { type: "audio/pcm", rate: 16_000 };
  const { fullStream } = await experimental_streamTranscribe({ model: live, audio, inputAudioFormat });
  const kinds = [];
  for await (const { type } of fullStream) kinds.push(type);
  return kinds;
});
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
