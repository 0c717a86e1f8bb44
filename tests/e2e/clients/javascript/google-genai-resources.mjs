// Operations of @google/genai on what outlives a call: batches, stores, webhooks, triggers, tuned models.
import { GoogleGenAI } from "@google/genai";
import { BASE, KEY, operation } from "./driver.mjs";

const ai = new GoogleGenAI({ apiKey: KEY, httpOptions: { baseUrl: BASE } });
const model = "gemini-2.5-flash";
const kept = {};

// What `read` told each time, until it is done; the simulated Google is after two.
async function done(read) {
  const told = [];
  for (let polls = 0; polls < 9; polls++) {
    const item = await read();
    told.push(item);
    if (item.done || item.endTime) break;
  }
  return told;
}

operation("create batch", async () => {
  const src = [{ contents: "Tell me of bees" }, { contents: "!400" }];
  kept.batch = await ai.batches.create({ model, src, config: { displayName: "bees" } });
  return kept.batch;
});
operation("get batch until it is done", () => done(() => ai.batches.get({ name: kept.batch.name })));
operation("list batches", () => ai.batches.list({ config: { pageSize: 5 } }));
operation("create batch of a file", async () => {
  const line = '{"key": "one", "request": {"contents": [{"parts": [{"text": "Tell me of bees"}]}]}}\n';
  const file = await ai.files.upload({ file: new Blob([line], { type: "application/jsonl" }) });
  return ai.batches.create({ model, src: file.name });
});
operation("cancel batch", async () => {
  const { name } = await ai.batches.create({ model, src: [{ contents: "Tell me of bees" }] });
  await ai.batches.cancel({ name });
  return ai.batches.get({ name });
});
operation("delete batch", () => ai.batches.delete({ name: kept.batch.name }));
operation("batch of embeddings", async () => {
  const src = { inlinedRequests: { contents: ["three words here", "again"] } };
  const { name } = await ai.batches.createEmbeddings({ model: "gemini-embedding-001", src });
  return done(() => ai.batches.get({ name }));
});

operation("create file search store", async () => {
  kept.store = (await ai.fileSearchStores.create({ config: { displayName: "bees" } })).name;
  return ai.fileSearchStores.get({ name: kept.store });
});
operation("upload to file search store", () =>
  ai.fileSearchStores.uploadToFileSearchStore({
    fileSearchStoreName: kept.store,
    file: new Blob(["Zoë keeps bees.\n".repeat(100)], { type: "text/plain" }),
    config: { displayName: "bees" },
  }),
);
operation("import file and its operation", async () => {
  const file = await ai.files.upload({ file: new Blob(["bees"], { type: "text/plain" }) });
  const asked = { fileSearchStoreName: kept.store, fileName: file.name };
  const running = await ai.fileSearchStores.importFile(asked);
  return done(() => ai.operations.get({ operation: running }));
});
operation("list file search stores", () => ai.fileSearchStores.list());
operation("list documents", async () => {
  kept.documents = [];
  for await (const item of await ai.fileSearchStores.documents.list({ parent: kept.store })) kept.documents.push(item);
  return kept.documents;
});
operation("get document", () => ai.fileSearchStores.documents.get({ name: kept.documents[0].name }));
operation("delete document", () => ai.fileSearchStores.documents.delete({ name: kept.documents[0].name }));
operation("delete file search store", () => ai.fileSearchStores.delete({ name: kept.store, config: { force: true } }));
operation("generate videos and their operation", async () => {
  const running = await ai.models.generateVideos({ model: "veo-3.1-generate-preview", prompt: "Bees" });
  return [running, ...(await done(() => ai.operations.getVideosOperation({ operation: running })))];
});

operation("create webhook", async () => {
  const made = await ai.webhooks.create({ subscribed_events: ["batch.succeeded"], uri: "https://bees.example/hook" });
  kept.webhook = made.id;
  return made;
});
operation("get webhook", () => ai.webhooks.get(kept.webhook));
operation("list webhooks", () => ai.webhooks.list());
operation("update webhook", () => ai.webhooks.update(kept.webhook, { uri: "https://bees.example/other" }));
operation("ping webhook", () => ai.webhooks.ping(kept.webhook));
operation("rotate the secret of a webhook", () => ai.webhooks.rotateSigningSecret(kept.webhook));
operation("delete webhook", () => ai.webhooks.delete(kept.webhook));

operation("create trigger", async () => {
  const interaction = { agent: "deep-research-preview-04-2026", input: "Tell me of bees", background: true };
  const made = await ai.triggers.create({ interaction, schedule: "0 9 * * *", time_zone: "UTC" });
  kept.trigger = made.id;
  return made;
});
operation("run trigger", () => ai.triggers.run(kept.trigger));
operation("list executions of a trigger", () => ai.triggers.listExecutions(kept.trigger));
operation("list triggers", () => ai.triggers.list());
operation("delete trigger", () => ai.triggers.delete(kept.trigger));

operation("tune", async () => {
  kept.tuned = await ai.tunings.tune({
    baseModel: `models/${model}`,
    trainingDataset: { examples: [{ textInput: "bee", output: "bees" }] },
    config: { tunedModelDisplayName: "bees", epochCount: 1 },
  });
  return kept.tuned;
});
operation("get tuned model", () => ai.tunings.get({ name: kept.tuned.name }));
operation("generate with tuned model", () =>
  ai.models.generateContent({ model: kept.tuned.name, contents: "Tell me of bees" }),
);
operation("update tuned model", () =>
  ai.models.update({ model: kept.tuned.name, config: { displayName: "other bees" } }),
);
operation("delete tuned model", () => ai.models.delete({ model: kept.tuned.name }));
