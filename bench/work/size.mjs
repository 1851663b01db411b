// What a browser loads: the main entry with everything it imports, the worker and one build of the kernels, gzipped.
import { readFileSync } from "node:fs";
import { gzipSync } from "node:zlib";

const dist = new URL("../../dist/", import.meta.url);

/** Files of dist/ that `file` needs, itself included. */
function closure(file, found = new Set()) {
  if (found.has(file)) return found;
  found.add(file);
  const source = readFileSync(new URL(file, dist), "utf8");
  for (const [, name] of source.matchAll(/(?:from|import)\s*"(\.\/[^"]+|#platform)"/g)) {
    closure(name === "#platform" ? "platform-browser.js" : name.slice(2), found);
  }
  return found;
}

function measure() {
  const files = [...closure("index.js"), "worker.js", "kernels.wasm"];
  const bytes = files.map((file) => gzipSync(readFileSync(new URL(file, dist)), { level: 9 }).length);
  return {
    value: bytes.reduce((a, b) => a + b, 0) / 1e3,
    note: files.map((f, i) => `${f} ${(bytes[i] / 1e3).toFixed(1)}`).join(", "),
  };
}

export const works = [{ name: "size, gzipped (main entry and one kernel build)", unit: "kB", measure }];
