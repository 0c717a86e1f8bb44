// @google/generative-ai, Google's first SDK for JavaScript.
import { writeFile } from "node:fs/promises";
import { BASE, KEY, operation, run } from "./driver.mjs";

// recipe
import { GoogleGenerativeAI } from "@google/generative-ai";
import { GoogleAIFileManager } from "@google/generative-ai/server";

const google = new GoogleGenerativeAI(KEY);
const flash = google.getGenerativeModel({ model: "gemini-2.5-flash" }, { baseUrl: BASE });
const files = new GoogleAIFileManager(KEY, { baseUrl: BASE });
// end of recipe

const kept = {};
operation("generate", async () => (await flash.generateContent("Tell me of bees")).response);
operation("stream", async () => (await flash.generateContentStream("Tell me of bees")).stream);
operation("chat", async () => {
  const chat = flash.startChat();
  await chat.sendMessage("My name is Zoë");
  await chat.sendMessage("Who am I?");
  return chat.getHistory();
});
operation("count tokens", () => flash.countTokens("Say hello"));
operation("embed", () =>
  google.getGenerativeModel({ model: "gemini-embedding-001" }, { baseUrl: BASE }).embedContent("three words here"),
);
operation("upload file", async () => {
  await writeFile("bees.txt", "Zoë keeps bees.\n");
  const { file } = await files.uploadFile("bees.txt", { mimeType: "text/plain", displayName: "bees" });
  kept.name = file.name;
  return file;
});
operation("get file", () => files.getFile(kept.name));
operation("list files", () => files.listFiles());
operation("delete file", () => files.deleteFile(kept.name));
operation("error 400", () => flash.generateContent("!400"));
operation("error 404", () =>
  google.getGenerativeModel({ model: "bard-1" }, { baseUrl: BASE }).generateContent("Say hello"),
);
operation("error 429", () => flash.generateContent("!429"));
operation("error in stream", async () => (await flash.generateContentStream("!error tell me of bees")).stream);

await run();
