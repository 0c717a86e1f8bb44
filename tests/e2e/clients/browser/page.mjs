// The page: @google/genai as its users bundle it. Each step's result is told as text, so that a failure is one too.
const { BASE, KEY, MEGABYTES } = Object.fromEntries(new URLSearchParams(location.hash.slice(1)));

// recipe
import { GoogleGenAI } from "@google/genai";

const ai = new GoogleGenAI({ apiKey: KEY, httpOptions: { baseUrl: BASE } });
// end of recipe

const model = "gemini-2.5-flash";

async function digest(blob) {
  const bytes = new Uint8Array(await crypto.subtle.digest("SHA-256", await blob.arrayBuffer()));
  return [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

const steps = {
  async generate() {
    const response = await ai.models.generateContent({ model, contents: "Tell me of bees" });
    return { text: response.text };
  },
  async stream() {
    let text = "";
    let chunks = 0;
    for await (const chunk of await ai.models.generateContentStream({ model, contents: "Tell me of bees" })) {
      text += chunk.text ?? "";
      chunks += 1;
    }
    return { text, chunks };
  },
  async upload() {
    const file = new Blob([new Uint8Array(MEGABYTES * 2 ** 20).fill(7)], { type: "application/octet-stream" });
    const uploaded = await ai.files.upload({ file, config: { mimeType: file.type } });
    return { size: uploaded.sizeBytes, sha256: atob(uploaded.sha256Hash), sent: await digest(file) };
  },
  async error() {
    return await ai.models.generateContent({ model, contents: "!400" });
  },
  async refused() {
    const stranger = new GoogleGenAI({ apiKey: "sk-unknown", httpOptions: { baseUrl: BASE } });
    return await stranger.models.generateContent({ model, contents: "Tell me of bees" });
  },
};

window.tryOut = async () => {
  const told = {};
  for (const [name, step] of Object.entries(steps)) {
    try {
      told[name] = await step();
    } catch (error) {
      told[name] = { error: String(error), status: error.status };
    }
  }
  return told;
};
