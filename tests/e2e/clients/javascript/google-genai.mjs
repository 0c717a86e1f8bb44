// @google/genai, Google's own SDK for JavaScript.
import { readFile, writeFile } from "node:fs/promises";
import { BASE, KEY, operation, run } from "./driver.mjs";

// recipe
import { GoogleGenAI } from "@google/genai";

const ai = new GoogleGenAI({ apiKey: KEY, httpOptions: { baseUrl: BASE } });
// end of recipe

const model = "gemini-2.5-flash";
const bees = { model, contents: "Tell me of bees" };
const kept = {};

operation("generate", () => ai.models.generateContent(bees));
operation("stream", () => ai.models.generateContentStream(bees));
operation("structured output", () =>
  ai.models.generateContent({
    model,
    contents: "Invent one",
    config: {
      responseMimeType: "application/json",
      responseSchema: { type: "OBJECT", properties: { name: { type: "STRING" }, age: { type: "INTEGER" } } },
    },
  }),
);
operation("function call", () =>
  ai.models.generateContent({
    model,
    contents: "Weather in Oslo?",
    config: {
      tools: [
        {
          functionDeclarations: [
            { name: "weather", parameters: { type: "OBJECT", properties: { city: { type: "STRING" } } } },
          ],
        },
      ],
    },
  }),
);
operation("chat", async () => {
  const chat = ai.chats.create({ model });
  await chat.sendMessage({ message: "My name is Zoë" });
  for await (const _ of await chat.sendMessageStream({ message: "Who am I?" }));
  return chat.getHistory();
});
operation("count tokens", () => ai.models.countTokens({ model, contents: "Say hello" }));
operation("embed", () =>
  ai.models.embedContent({ model: "gemini-embedding-001", contents: ["three words here", "again"] }),
);
operation("embed 2", () =>
  ai.models.embedContent({ model: "gemini-embedding-2", contents: ["three words here", "again"] }),
);
operation("list models", () => ai.models.list({ config: { pageSize: 9 } }));
operation("get model", () => ai.models.get({ model }));
operation("create cache", async () => {
  const contents = "All about bees. ".repeat(500);
  const made = await ai.caches.create({ model, config: { contents, ttl: "600s", displayName: "bees" } });
  kept.cache = made.name;
  return made;
});
operation("get cache", () => ai.caches.get({ name: kept.cache }));
operation("generate from cache", () =>
  ai.models.generateContent({ ...bees, config: { cachedContent: kept.cache } }),
);
operation("update cache", () => ai.caches.update({ name: kept.cache, config: { ttl: "900s" } }));
operation("list caches", () => ai.caches.list());
operation("delete cache", () => ai.caches.delete({ name: kept.cache }));
operation("upload file", async () => {
  const file = new Blob(["Zoë keeps bees.\n".repeat(100)], { type: "text/plain" });
  kept.file = await ai.files.upload({ file, config: { displayName: "bees" } });
  return kept.file;
});
operation("upload in chunks", async () => {
  await writeFile("media.bin", Buffer.alloc(9_216_000, "0123456789abcdef"));
  return ai.files.upload({ file: "media.bin", config: { mimeType: "application/octet-stream" } });
});
operation("get file", () => ai.files.get({ name: kept.file.name }));
operation("list files", () => ai.files.list({ config: { pageSize: 9 } }));
operation("generate with file", () => {
  const { uri: fileUri, mimeType } = kept.file;
  return ai.models.generateContent({ model, contents: [{ text: "Tell me of it" }, { fileData: { fileUri, mimeType } }] });
});
operation("download file", async () => {
  await ai.files.download({ file: kept.file.name, downloadPath: "downloaded.txt" });
  return readFile("downloaded.txt", "utf8");
});
operation("delete file", () => ai.files.delete({ name: kept.file.name }));
operation("interaction", async () => {
  const made = await ai.interactions.create({ model, input: "Tell me of bees" });
  kept.interaction = made.id;
  return made;
});
operation("interaction that goes on", () =>
  ai.interactions.create({ model, input: "And?", previous_interaction_id: kept.interaction }),
);
operation("interaction as stream", () => ai.interactions.create({ model, input: "Tell me of bees", stream: true }));
operation("get interaction", () => ai.interactions.get(kept.interaction));
operation("delete interaction", () => ai.interactions.delete(kept.interaction));
operation("interaction in the background", async () => {
  const made = await ai.interactions.create({ model, input: "Tell me of bees", background: true });
  return ai.interactions.cancel(made.id);
});
operation("create ephemeral token", async () => {
  const alpha = new GoogleGenAI({ apiKey: KEY, httpOptions: { baseUrl: BASE, apiVersion: "v1alpha" } });
  kept.token = (await alpha.authTokens.create({ config: { uses: 2 } })).name;
  return kept.token ? "made" : kept.token;
});

// Two turns, told message by message, and how it closed.
async function conversation(live, liveModel = "gemini-live-2.5-flash-preview") {
  const told = [];
  let next;
  const session = await live.live.connect({
    model: liveModel,
    config: { responseModalities: ["TEXT"] },
    callbacks: {
      onmessage: (message) => {
        told.push(message);
        if (message.serverContent?.turnComplete) next();
      },
      onclose: ({ code, reason }) => {
        told.push({ code, reason });
        next?.();
      },
    },
  });
  for (const turns of ["Say hello", "Tell me of bees"]) {
    const turn = new Promise((resolve) => (next = resolve));
    session.sendClientContent({ turns });
    await turn;
  }
  const closed = new Promise((resolve) => (next = resolve));
  session.close();
  await closed;
  return told;
}
operation("live", () => conversation(ai));
operation("live with ephemeral token", () =>
  conversation(new GoogleGenAI({ apiKey: kept.token, httpOptions: { baseUrl: BASE, apiVersion: "v1alpha" } })),
);
operation("error 400", () => ai.models.generateContent({ model, contents: "!400" }));
operation("error 404", () => ai.models.generateContent({ model: "bard-1", contents: "Say hello" }));
operation("error 429", () => ai.models.generateContent({ model, contents: "!429" }));
operation("error 503", () => ai.models.generateContent({ model, contents: "!503" }));
operation("error in stream", () => ai.models.generateContentStream({ model, contents: "!error tell me of bees" }));
operation("safety", () => ai.models.generateContent({ model, contents: "!safety" }));
operation("blocked prompt", () => ai.models.generateContent({ model, contents: "!blocked" }));
operation("broken stream", () => ai.models.generateContentStream({ model, contents: "!cut tell me of bees" }));
await import("./google-genai-resources.mjs"); // its operations come after these

await run();
