// The page: @google/genai as its users bundle it. Each step's result is told as text, so that a failure is one too.
import { GoogleGenAI } from "@google/genai";

const model = "gemini-2.5-flash";

async function digest(blob) {
  const bytes = new Uint8Array(await crypto.subtle.digest("SHA-256", await blob.arrayBuffer()));
  return [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

const steps = {
  async generate(ai) {
    const response = await ai.models.generateContent({ model, contents: "Tell me of bees" });
    return { text: response.text, id: response.sdkHttpResponse.headers["x-gatekeeper-call-id"] };
  },
  async stream(ai) {
    let text = "";
    let chunks = 0;
    for await (const chunk of await ai.models.generateContentStream({ model, contents: "Tell me of bees" })) {
      text += chunk.text ?? "";
      chunks += 1;
    }
    return { text, chunks };
  },
  async upload(ai, { megabytes }) {
    const file = new Blob([new Uint8Array(megabytes * 2 ** 20).fill(7)], { type: "application/octet-stream" });
    const uploaded = await ai.files.upload({ file, config: { mimeType: file.type } });
    return { name: uploaded.name, size: uploaded.sizeBytes, sha256: atob(uploaded.sha256Hash), sent: await digest(file) };
  },
  async refused(_, { baseUrl }) {
    const stranger = new GoogleGenAI({ apiKey: "sk-unknown", httpOptions: { baseUrl } });
    return await stranger.models.generateContent({ model, contents: "Tell me of bees" });
  },
};

window.tryOut = async (options) => {
  const { baseUrl, apiKey } = options;
  const ai = new GoogleGenAI({ apiKey, httpOptions: { baseUrl } });
  const told = {};
  for (const [name, step] of Object.entries(steps)) {
    try {
      told[name] = await step(ai, options);
    } catch (error) {
      told[name] = { error: String(error), status: error.status };
    }
  }
  return told;
};
