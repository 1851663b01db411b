// Builds kernels/ into src/engine/wasm/kernels.wasm and kernels-relaxed.wasm.
// First writes kernels/generated.ts (argument records and the dispatch) from the signatures in src/engine/kernels.ts.
// Does nothing if what it made last is still up to date. Options: --force, --partial (leave out kernels that do not exist
// yet), --text (also write build/*.wat).
import { execFileSync } from "node:child_process";
import { mkdirSync, readdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { basename } from "node:path";
import ts from "typescript";
import { at } from "./paths.mjs";
import { hashOf, isFresh, markFresh } from "./stamp.mjs";

const SOURCES = [
  "kernels",
  "src/engine/kernels.ts",
  "src/engine/wasm/phases.ts",
  "scripts/build-kernels.mjs",
  "node_modules/assemblyscript/package.json",
];
const OUTPUTS = ["kernels/generated.ts", "src/engine/wasm/kernels.wasm", "src/engine/wasm/kernels-relaxed.wasm"];
const hash = hashOf(SOURCES, (path) => OUTPUTS.includes(path));
const isPlain = process.argv.length === 2;
if (isPlain && isFresh("kernels", hash)) process.exit(0);

async function importTypeScript(path) {
  const { outputText } = ts.transpileModule(readFileSync(path, "utf8"), {
    compilerOptions: { module: "esnext", target: "es2022" },
  });
  return import(`data:text/javascript;base64,${Buffer.from(outputText).toString("base64")}`);
}

const { kernels } = await importTypeScript(at("src/engine/kernels.ts"));
const { phases } = await importTypeScript(at("src/engine/wasm/phases.ts"));

const fieldType = { int: "i32", float: "f64" };
const className = (name) => name[0].toUpperCase() + name.slice(1);

function record(name, parameters) {
  const fields = Object.entries(parameters).flatMap(([field, kind]) =>
    kind === "dims" ? [0, 1, 2, 3, 4, 5].map((i) => `  ${field}${i}: i32;`) : `  ${field}: ${fieldType[kind] ?? "usize"};`,
  );
  return `@unmanaged export class ${className(name)} {\n  scratch: usize;\n${fields.join("\n")}\n}`;
}

/** Which file of kernels/ defines each exported function. */
function findKernels() {
  const home = new Map();
  for (const file of readdirSync(at("kernels")).filter((f) => f.endsWith(".ts") && !["generated.ts", "runtime.ts"].includes(f))) {
    for (const [, name] of readFileSync(at("kernels", file), "utf8").matchAll(
      /^export function (\w+)\(\w+: \w+, from: i32, to: i32\): void/gm,
    )) {
      home.set(name, file.slice(0, -3));
    }
  }
  return home;
}

const home = findKernels();
const imports = [];
const cases = [];
const missing = [];
let opcode = 0;
for (const name of Object.keys(kernels)) {
  for (const phase of phases[name] ?? [name]) {
    if (home.has(phase)) {
      imports.push(`import { ${phase} } from "./${home.get(phase)}";`);
      cases.push(`    case ${opcode}: ${phase}(changetype<${className(name)}>(args), from, to); break;`);
    } else missing.push(phase);
    opcode++;
  }
}
if (missing.length > 0) {
  const message = `kernels/ does not define: ${missing.join(", ")}`;
  if (!process.argv.includes("--partial")) throw new Error(message);
  console.warn(message);
}

const generated = [
  "// Made by scripts/build-kernels.mjs from src/engine/kernels.ts; do not edit.",
  ...imports,
  ...Object.entries(kernels).map(([name, parameters]) => record(name, parameters)),
  `export function dispatch(kernel: i32, args: usize, from: i32, to: i32): void {\n  switch (kernel) {\n${cases.join("\n")}\n    default: unreachable();\n  }\n}`,
].join("\n");
mkdirSync(at("build"), { recursive: true });

/** Whoever reads a file while it is being made sees the old one whole. */
function replaceFile(path, write) {
  const temporary = at("build", `${process.pid}-${basename(path)}`);
  write(temporary);
  renameSync(temporary, path);
}

replaceFile(at("kernels/generated.ts"), (path) => writeFileSync(path, `${generated}\n`));

for (const [out, relaxed] of [
  ["kernels", 0],
  ["kernels-relaxed", 1],
]) {
  const compile = (path) =>
    execFileSync(
      process.execPath,
      [
        at("node_modules/assemblyscript/bin/asc.js"),
        at("kernels/index.ts"),
        "-O3",
        "--converge",
        "--noAssert",
        "--runtime",
        "stub",
        "--enable",
        relaxed ? "simd,threads,bulk-memory,relaxed-simd" : "simd,threads,bulk-memory",
        "--importMemory",
        "--sharedMemory",
        "--initialMemory",
        "16",
        "--maximumMemory",
        "65536",
        "--memoryBase",
        "65536",
        "--use",
        "abort=",
        "-o",
        path,
        ...(process.argv.includes("--text") ? ["-t", at(`build/${out}.wat`)] : []),
      ],
      { stdio: "inherit" },
    );
  try {
    replaceFile(at(`src/engine/wasm/${out}.wasm`), compile);
  } catch (error) {
    // The compiler has said what is wrong.
    if (typeof error.status !== "number") throw error;
    process.exit(1);
  }
}
if (missing.length === 0) markFresh("kernels", hash, OUTPUTS);
