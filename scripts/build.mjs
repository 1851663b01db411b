// Builds the kernels and then dist/, each only if what it is made from has changed.
import { spawnSync } from "node:child_process";
import { readdirSync, rmSync } from "node:fs";
import { at, root } from "./paths.mjs";
import { hashOf, isFresh, markFresh } from "./stamp.mjs";

const SOURCES = [
  "src",
  "kernels",
  "scripts/build-kernels.mjs",
  "tsdown.config.ts",
  "tsconfig.json",
  "package.json",
  "package-lock.json",
];
/** Made by the build of the kernels, so not a source. */
const isMade = (path) => path === "kernels/generated.ts" || path.endsWith(".wasm");

/** Runs a step without its output, unless it fails. */
function step(what, args) {
  const result = spawnSync(process.execPath, args, { cwd: root, encoding: "utf8", stdio: ["ignore", "pipe", "pipe"] });
  if (result.signal) throw new Error(`${what} was stopped by ${result.signal}`);
  if (result.status !== 0) {
    process.stderr.write(`${result.stdout}${result.stderr}`);
    throw new Error(`${what} failed; its messages are above`);
  }
}

/** @throws Error if a step fails, after printing what the step said */
export function build({ force = false } = {}) {
  const hash = hashOf(SOURCES, isMade);
  if (!force && isFresh("dist", hash)) return;
  console.error("evenkeel: building");
  step("building the kernels", [at("scripts/build-kernels.mjs")]);
  rmSync(at("dist"), { recursive: true, force: true });
  step("building dist", [at("node_modules/tsdown/dist/run.mjs"), "--logLevel", "warn"]);
  markFresh(
    "dist",
    hash,
    readdirSync(at("dist")).map((name) => `dist/${name}`),
  );
}
