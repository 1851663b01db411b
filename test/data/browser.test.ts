import { readFileSync } from "node:fs";
import { expect, test } from "vitest";

/** What package.json's "imports" stand for in a browser, seen from the one file that uses each. */
const browserFiles: Record<string, string> = { "#platform": "./platform-browser.js", "#data-files": "./browser.js" };

/** All modules that a module of src/data/ reaches, with the packages it imports. */
function reach(file: URL, seen = new Map<string, string[]>()): Map<string, string[]> {
  if (seen.has(file.href)) return seen;
  const text = readFileSync(file, "utf8").replaceAll(/^import type .*$/gm, "");
  const names = [...text.matchAll(/(?:from |import\()"([^"]+)"/g)].map((match) => browserFiles[match[1]!] ?? match[1]!);
  seen.set(
    file.href,
    names.filter((name) => !name.startsWith(".")),
  );
  for (const name of names) if (name.startsWith(".")) reach(new URL(name.replace(/\.js$/, ".ts"), file), seen);
  return seen;
}

test("nothing that data/index.ts reaches imports a package, a Node module or a file for Node", () => {
  const reached = reach(new URL("../../src/data/index.ts", import.meta.url));
  expect(reached.size).toBeGreaterThan(8);
  expect([...reached.keys()].filter((name) => /-node\.ts$|\/data\/node\.ts$/.test(name))).toEqual([]);
  expect([...reached.values()].flat()).toEqual([]);
});

test("the file for Node does reach the file system, so the check above sees such imports", () => {
  const reached = reach(new URL("../../src/data/node.ts", import.meta.url));
  expect([...reached.values()].flat()).toContain("node:fs/promises");
});
