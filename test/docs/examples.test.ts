// Every TypeScript example in README and docs runs, and every link to a file leads somewhere.
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, describe, expect, test } from "vitest";

const root = fileURLToPath(new URL("../../", import.meta.url));
// Inside the repository, so that imports resolve as they do for its own files.
const folder = mkdtempSync(join(root, "test/docs/.examples-"));
afterAll(() => rmSync(folder, { recursive: true }));

const documents = readdirSync(root, { recursive: true, encoding: "utf8" })
  .filter((name) => /^(README|CONTRIBUTING)\.md$|^docs\/.*\.md$/.test(name))
  .sort();

/** The text of each fenced block of TypeScript. */
function examplesIn(text: string): string[] {
  return [...text.matchAll(/^```ts\n([\s\S]*?)^```$/gm)].map((match) => match[1]!);
}

describe.each(documents)("%s", (name) => {
  const text = readFileSync(join(root, name), "utf8");

  test.each(examplesIn(text).map((code, i) => [i + 1, code] as const))("example %i runs", async (i, code) => {
    const file = join(folder, `${name.replaceAll("/", "-")}-${i}.ts`);
    const source = (path: string) => `from "${relative(folder, join(root, "src", path))}"`;
    const local = code
      .replaceAll('from "evenkeel"', source("index.js"))
      .replaceAll(/from "evenkeel\/(\w+)"/g, (_, name) => source(`${name}/index.js`));
    writeFileSync(file, `${local}\nexport {};\n`);
    await import(file);
  });

  test("links to files lead somewhere", () => {
    const targets = [...text.matchAll(/\]\(([^)#]+)(?:#[^)]*)?\)|(?:src|srcset)="([^"]+)"/g)].map(
      (match) => (match[1] ?? match[2])!,
    );
    const local = targets.filter((target) => !/^[a-z]+:/.test(target));
    expect(local.filter((target) => !existsSync(join(root, dirname(name), target)))).toEqual([]);
  });
});

test("README has an example and names both commands", () => {
  const text = readFileSync(join(root, "README.md"), "utf8");
  expect(examplesIn(text).length).toBeGreaterThan(0);
  expect(text).toContain("npm start");
  expect(text).toContain("npm test");
});
