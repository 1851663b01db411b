import { readdirSync, readFileSync } from "node:fs";
import { dirname, join, posix } from "node:path";
import { fileURLToPath } from "node:url";
import ts from "typescript";
import { describe, expect, test } from "vitest";

const root = join(dirname(fileURLToPath(import.meta.url)), "..");

/** A folder of src imports only from itself and from folders before it. */
const RANKS = "core engine tensor autograd ops nn optim data io train instruments surgery experiments charts report cli".split(
  " ",
);
const MAX_LINES = 400;

interface Import {
  /** Path of the imported file from the root, or the bare specifier. */
  to: string;
  typeOnly: boolean;
}

/** Files below a folder with one of the endings, as paths from the root with "/". */
function filesIn(folder: string, endings: RegExp): string[] {
  const names = readdirSync(join(root, folder), { recursive: true, encoding: "utf8" }).map((name) => name.replaceAll("\\", "/"));
  return names
    .filter((name) => endings.test(name) && !/(^|\/)(node_modules|fixtures)\//.test(name))
    .map((name) => `${folder}/${name}`)
    .sort();
}

/** What package.json's "imports" stand for when the sources run in Node. */
const internal: Record<string, string> = {
  "#platform": "src/engine/wasm/platform-node.ts",
  "#data-files": "src/data/node.ts",
};

const read = (path: string) => readFileSync(join(root, path), "utf8");

function isTypeOnly(node: ts.ImportDeclaration | ts.ExportDeclaration): boolean {
  if (ts.isExportDeclaration(node)) {
    const names = node.exportClause && ts.isNamedExports(node.exportClause) ? node.exportClause.elements : undefined;
    return node.isTypeOnly || (names !== undefined && names.length > 0 && names.every((name) => name.isTypeOnly));
  }
  const clause = node.importClause;
  if (clause === undefined) return false;
  if (clause.isTypeOnly) return true;
  const names = clause.namedBindings && ts.isNamedImports(clause.namedBindings) ? clause.namedBindings.elements : undefined;
  return clause.name === undefined && names !== undefined && names.length > 0 && names.every((name) => name.isTypeOnly);
}

/** Static and dynamic imports, re-exports and `import("…")` types of a source text. */
function importsOf(path: string, text: string): Import[] {
  const found: Import[] = [];
  const add = (specifier: ts.Node | undefined, typeOnly: boolean) => {
    if (!specifier || !ts.isStringLiteral(specifier)) return;
    const { text: to } = specifier;
    const local = to.startsWith(".") ? posix.join(posix.dirname(path), to).replace(/\.js$/, ".ts") : to;
    found.push({ to: internal[local] ?? local, typeOnly });
  };
  const visit = (node: ts.Node): void => {
    if (ts.isImportDeclaration(node) || ts.isExportDeclaration(node)) add(node.moduleSpecifier, isTypeOnly(node));
    else if (ts.isCallExpression(node) && node.expression.kind === ts.SyntaxKind.ImportKeyword) add(node.arguments[0], false);
    else if (ts.isImportTypeNode(node) && ts.isLiteralTypeNode(node.argument)) add(node.argument.literal, true);
    ts.forEachChild(node, visit);
  };
  visit(ts.createSourceFile(path, text, ts.ScriptTarget.Latest, true));
  return found;
}

const rankOf = (path: string) => RANKS.indexOf(path.split("/")[1] ?? "");

/** What breaks the order of folders, as "file → imported file". src/index.ts is above all folders. */
function rankViolations(imports: ReadonlyMap<string, readonly Import[]>): string[] {
  const wrong: string[] = [];
  for (const [path, list] of imports) {
    if (path === "src/index.ts") continue;
    if (rankOf(path) < 0) wrong.push(`${path} is in no folder of the list`);
    for (const { to } of list) {
      const outside =
        to.startsWith(".") || (to.includes("/") && !to.startsWith("src/") && /^(test|scripts|bench|lab|dist|kernels)\//.test(to));
      if (outside || (to.startsWith("src/") && (rankOf(to) < 0 || rankOf(to) > rankOf(path)))) wrong.push(`${path} → ${to}`);
    }
  }
  return wrong;
}

/** Cycles over imports of values, each as "a → b → a". Imports of types leave nothing at run time. */
function importCycles(imports: ReadonlyMap<string, readonly Import[]>): string[] {
  const cycles: string[] = [];
  const done = new Set<string>();
  const trail: string[] = [];
  const visit = (path: string): void => {
    const start = trail.indexOf(path);
    if (start >= 0) cycles.push([...trail.slice(start), path].join(" → "));
    if (start >= 0 || done.has(path)) return;
    trail.push(path);
    for (const { to, typeOnly } of imports.get(path) ?? []) if (!typeOnly) visit(to);
    trail.pop();
    done.add(path);
  };
  for (const path of imports.keys()) visit(path);
  return cycles;
}

const sources = filesIn("src", /\.(ts|js)$/);
const imports = new Map(sources.map((path) => [path, importsOf(path, read(path))]));
const written = [
  ...sources,
  ...filesIn("kernels", /\.ts$/).filter((path) => path !== "kernels/generated.ts"),
  ...filesIn("scripts", /\.m?[jt]s$/),
  ...filesIn("test", /\.ts$/),
];

const lineCount = (path: string) => read(path).trimEnd().split("\n").length;

describe("the checks themselves", () => {
  test("imports are found whether static, re-exported, dynamic or in a type, and types are told from values", () => {
    const text = `import { a } from "../core/a.js"; import type { B } from "./b.js"; import { type C } from "./c.js"; import "./d.js";
      export { e } from "./e.js"; export type { F } from "./f.js"; type G = import("./g.js").G; const h = import("./h.js"); import z from "zod";`;
    const found = importsOf("src/nn/x.ts", text).map(({ to, typeOnly }) => `${to} ${typeOnly ? "type" : "value"}`);
    expect(found.sort()).toEqual([
      "src/core/a.ts value",
      "src/nn/b.ts type",
      "src/nn/c.ts type",
      "src/nn/d.ts value",
      "src/nn/e.ts value",
      "src/nn/f.ts type",
      "src/nn/g.ts type",
      "src/nn/h.ts value",
      "zod value",
    ]);
  });

  test("an import of a later folder is a violation even if it is of a type; one of an earlier folder is not", () => {
    const graph = new Map([
      ["src/engine/a.ts", importsOf("src/engine/a.ts", `import type { T } from "../nn/t.js"; import "../core/c.js";`)],
    ]);
    expect(rankViolations(graph)).toEqual(["src/engine/a.ts → src/nn/t.ts"]);
  });

  test("a cycle of values is found, a cycle closed by a type is not one", () => {
    const graph = (last: string) =>
      new Map([
        ["src/nn/a.ts", importsOf("src/nn/a.ts", `import "./b.js";`)],
        ["src/nn/b.ts", importsOf("src/nn/b.ts", last)],
      ]);
    expect(importCycles(graph(`import { a } from "./a.js";`))).toEqual(["src/nn/a.ts → src/nn/b.ts → src/nn/a.ts"]);
    expect(importCycles(graph(`import type { A } from "./a.js";`))).toEqual([]);
  });
});

describe("the source tree", () => {
  test("there are sources to check", () => {
    expect(sources.length).toBeGreaterThan(10);
  });

  test("a folder of src imports only from itself and from folders before it", () => {
    expect(rankViolations(imports)).toEqual([]);
  });

  test("imports of values form no cycle", () => {
    expect(importCycles(imports)).toEqual([]);
  });

  test("every relative import names a file that exists", () => {
    const wanted = [...imports].flatMap(([path, list]) => list.map(({ to }) => ({ path, to })));
    const missing = wanted.filter(({ to }) => to.startsWith("src/") && !imports.has(to)).map(({ path, to }) => `${path} → ${to}`);
    expect(missing).toEqual([]);
  });

  test(`no file has more than ${MAX_LINES} lines`, () => {
    const long = written.map((path) => ({ path, lines: lineCount(path) })).filter(({ lines }) => lines > MAX_LINES);
    expect(long.map(({ path, lines }) => `${path}: ${lines} lines`)).toEqual([]);
  });

  test("no file names a place on one machine", () => {
    const machine = /(?:^|[\s"'`(=])(?:file:\/\/)?\/(?:work|home|root|Users)\/\w|\.\.\/shared\//m;
    expect(written.filter((path) => machine.test(read(path)))).toEqual([]);
  });

  test("package-lock.json names no registry", () => {
    const lines = read("package-lock.json").split("\n");
    expect(lines.filter((line) => line.includes('"resolved"') && !/"resolved": "[^":]+"/.test(line))).toEqual([]);
  });

  test("the public surface is named: src/index.ts has no export *", () => {
    const index = sources.includes("src/index.ts") ? read("src/index.ts") : "export * // src/index.ts is missing";
    expect(index.match(/export\s+\*(?!\s+as\b)[^\n]*/g) ?? []).toEqual([]);
  });
});
