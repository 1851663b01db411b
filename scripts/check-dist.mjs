// Checks dist/ as a browser's bundler sees it: every export exists, and nothing reachable imports Node's modules or a package.
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import ts from "typescript";
import { at } from "./paths.mjs";

const manifest = JSON.parse(readFileSync(at("package.json"), "utf8"));
const problems = [];

/** Specifiers of static and dynamic imports and of re-exports. */
function importsOf(path) {
  const found = [];
  const visit = (node) => {
    const named = ts.isImportDeclaration(node) || ts.isExportDeclaration(node) ? node.moduleSpecifier : undefined;
    const called =
      ts.isCallExpression(node) && node.expression.kind === ts.SyntaxKind.ImportKeyword ? node.arguments[0] : undefined;
    const specifier = named ?? called;
    if (specifier && ts.isStringLiteral(specifier)) found.push(specifier.text);
    ts.forEachChild(node, visit);
  };
  visit(ts.createSourceFile(path, readFileSync(path, "utf8"), ts.ScriptTarget.Latest));
  return found;
}

function walk(path, from, seen) {
  if (seen.has(path)) return;
  seen.add(path);
  if (!existsSync(path)) {
    problems.push(`${from}: ./${path.slice(at("/").length)} does not exist`);
    return;
  }
  for (const specifier of importsOf(path)) {
    if (manifest.imports[specifier]) walk(at(manifest.imports[specifier].default), from, seen);
    else if (specifier.startsWith(".")) walk(join(path, "..", specifier), from, seen);
    else problems.push(`${from}: ${path.slice(at("/").length)} imports "${specifier}", which a browser does not have`);
  }
}

/** Files that an export names under any condition. */
const filesOf = (target) => (typeof target === "string" ? [target] : Object.values(target).flatMap(filesOf));

for (const [name, target] of Object.entries(manifest.exports)) {
  for (const file of filesOf(target))
    if (!existsSync(at(file))) problems.push(`evenkeel${name.slice(1)}: ${file} does not exist`);
  // Where an export has a "node" condition, browsers get its "default", if it has one.
  if (target.default) walk(at(target.default), `evenkeel${name.slice(1)}`, new Set());
}
// No export: `evenkeel/train` starts it by its address.
walk(at("dist/train-worker.js"), "the training worker", new Set());
for (const [name, targets] of Object.entries(manifest.imports))
  for (const target of Object.values(targets)) if (!existsSync(at(target))) problems.push(`${name}: ${target} does not exist`);
for (const name of ["kernels.wasm", "kernels-relaxed.wasm", "worker.js", "cli.js"]) {
  if (!existsSync(at("dist", name))) problems.push(`dist/${name} does not exist`);
}

for (const problem of new Set(problems)) console.error(`evenkeel: ${problem}`);
if (problems.length > 0) process.exitCode = 1;
else console.log("dist: every export exists, and browsers get nothing of Node's");
