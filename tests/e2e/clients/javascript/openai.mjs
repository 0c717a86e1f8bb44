// openai, OpenAI's SDK, at Google's OpenAI-style routes.
import { BASE, KEY, operation, run } from "./driver.mjs";

// recipe
import OpenAI from "openai";

const openai = new OpenAI({ apiKey: KEY, baseURL: `${BASE}/v1beta/openai` });
// end of recipe

const model = "gemini-2.5-flash";
const messages = [{ role: "user", content: "Tell me of bees" }];
const saying = (content) => ({ model, messages: [{ role: "user", content }] });

operation("chat", () => openai.chat.completions.create({ model, messages }));
operation("stream", () => openai.chat.completions.create({ model, messages, stream: true }));
operation("stream with usage", () =>
  openai.chat.completions.create({ model, messages, stream: true, stream_options: { include_usage: true } }),
);
operation("function call", () =>
  openai.chat.completions.create({
    ...saying("Weather in Oslo?"),
    tools: [
      {
        type: "function",
        function: { name: "weather", parameters: { type: "object", properties: { city: { type: "string" } } } },
      },
    ],
  }),
);
operation("structured output", () =>
  openai.chat.completions.create({
    ...saying("Invent one"),
    response_format: {
      type: "json_schema",
      json_schema: { name: "one", schema: { type: "object", properties: { name: { type: "string" } } } },
    },
  }),
);
operation("embeddings", () => openai.embeddings.create({ model: "gemini-embedding-001", input: ["three words here"] }));
operation("list models", () => openai.models.list());
operation("get model", () => openai.models.retrieve(model));
operation("error 400", () => openai.chat.completions.create(saying("!400")));
operation("error 404", () => openai.chat.completions.create({ model: "bard-1", messages }));
operation("error 429", () => openai.chat.completions.create(saying("!429")));

await run();
