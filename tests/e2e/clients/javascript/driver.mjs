// What each JavaScript client's script shares. A script gives its operations with `operation` and ends with `run`.
// It is pointed at whoever answers by BASE and KEY, and knows not who that is.
import { createInterface } from "node:readline";

export const { BASE, SECURE_BASE, KEY } = process.env; // SECURE_BASE: by TLS
const operations = new Map();
const print = process.stdout.write.bind(process.stdout);
process.stdout.write = process.stderr.write.bind(process.stderr); // a client that prints does not disturb the report

export function operation(name, work) {
  operations.set(name, work);
}

export async function run() {
  const tell = (document) => print(JSON.stringify(document) + "\n");
  process.on("unhandledRejection", (error) => process.stderr.write(`unhandled: ${error?.stack}\n`));
  tell({ operations: [...operations.keys()] });
  for await (const line of createInterface({ input: process.stdin })) {
    try {
      tell({ result: await plain(await operations.get(line.trim())()) });
    } catch (error) {
      tell({ error: described(error) });
    }
  }
  process.exit();
}

// The value as JSON, with all that it says; a stream with the error that ended it, if any.
async function plain(value, depth = 0) {
  if (value === undefined || typeof value === "function" || typeof value === "symbol") return undefined;
  if (typeof value === "bigint") return String(value);
  if (value === null || typeof value !== "object") return value;
  if (depth > 20) return "…";
  if (value instanceof Promise) return plain(await value, depth);
  if (value instanceof Headers) return Object.fromEntries(value);
  if (value instanceof Date) return value.toISOString();
  if (value instanceof Error) return described(value);
  if (value instanceof Uint8Array) return Buffer.from(value).toString("base64");
  if (typeof value[Symbol.asyncIterator] === "function") return iterated(value, depth);
  if (Array.isArray(value)) return Promise.all(value.map((item) => plain(item, depth + 1)));
  if (typeof value.toJSON === "function" && depth < 20) return plain(value.toJSON(), depth + 1);
  const members = {};
  for (const [name, item] of Object.entries(value)) {
    const told = await plain(item, depth + 1);
    if (told !== undefined) members[name] = told;
  }
  return members;
}

async function iterated(stream, depth) {
  const items = [];
  try {
    for await (const item of stream) items.push(await plain(item, depth + 1));
  } catch (error) {
    return { items, then: described(error) };
  }
  return { items };
}

const TOLD_BY_ERRORS = ["status", "statusText", "code", "type", "reason", "statusCode", "isRetryable", "responseBody"];

function described(error) {
  if (!(error instanceof Error)) return { kind: typeof error, message: String(error) };
  const told = {};
  for (const name of TOLD_BY_ERRORS) {
    if (["string", "number", "boolean"].includes(typeof error[name])) told[name] = error[name];
  }
  const cause = error.cause ? { cause: described(error.cause) } : {};
  return { kind: error.constructor.name || error.name, message: error.message, ...told, ...cause };
}
