// What the scripts of command-line clients share: a run of the program, in the script's own home.
import { spawn } from "node:child_process";
import { mkdirSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { env } from "node:process";

// The folder of each run, below the home.
export const FOLDER = "project";

export function settings(file, text) {
  const path = join(env.HOME, file);
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, typeof text === "string" ? text : JSON.stringify(text));
}

// Status and output of `node_modules/.bin/NAME`, with no terminal and in an empty folder of its own.
export function command(name, words, variables = {}) {
  const cwd = join(env.HOME, FOLDER);
  mkdirSync(cwd, { recursive: true });
  const program = join(import.meta.dirname, "node_modules", ".bin", name);
  const child = spawn(program, words, { cwd, env: { ...env, ...variables }, stdio: ["ignore", "pipe", "pipe"] });
  let said = "";
  child.stdout.on("data", (data) => (said += data));
  child.stderr.pipe(process.stderr);
  return new Promise((resolve, reject) => {
    child.on("error", reject);
    child.on("close", (status) => resolve({ status, said }));
  });
}
