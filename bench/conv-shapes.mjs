// Convolutions of 3 × 3, direct and by Winograd's algorithm, in all three directions: `node bench/conv-shapes.mjs`.
// Prints milliseconds of both, GFLOP/s of the direct count of operations, and the largest error of both against float64,
// relative to the largest result. --rounds N (default 15), --threads N (default 2), --shapes 32x32@32,64x64@16 (default: those
// of the VGG of the training step and some others), --json. Builds the kernels first if they have changed.
import { execFileSync } from "node:child_process";
import { cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { pathToFileURL } from "node:url";
import { parseArgs } from "node:util";
import ts from "typescript";
import { at } from "../scripts/paths.mjs";
import { machine } from "./machine.mjs";

/** Input and output channels and the side of the image; all with padding 1. */
const SHAPES = "32x32@32,32x64@16,64x64@16,64x128@8,128x128@8,16x16@28,64x64@28,256x256@7";
const DIRECTIONS = ["conv2d", "conv2dBackwardInput", "conv2dBackwardWeight"];
/** Multiplications of a timed call are about those of 64 images of 64 → 64 channels, 16 × 16 pixels. */
const MULTIPLICATIONS = 6e8;

/** The planner's source, changed so that it always chooses the direct sums. */
function neverWinograd(source) {
  const changed = source.replace("return is3x3 &&", "return false && is3x3 &&");
  if (changed === source) throw new Error("conv-shapes: suitsWinograd in schedule-winograd.ts is not as expected");
  return changed;
}

/** The sources of the engine as JavaScript in a folder of their own, where the planner may be told to choose the direct sums. */
function transpileEngine(folder, isDirect) {
  for (const part of ["core", "engine"]) {
    for (const name of readdirSync(at("src", part), { recursive: true, encoding: "utf8" })) {
      const to = join(folder, part, name);
      if (/\.(wasm|js)$/.test(name)) cpSync(at("src", part, name), to);
      if (!name.endsWith(".ts")) continue;
      let source = readFileSync(at("src", part, name), "utf8");
      if (isDirect && name.endsWith("schedule-winograd.ts")) source = neverWinograd(source);
      const { outputText } = ts.transpileModule(source, { compilerOptions: { module: "esnext", target: "es2022" } });
      mkdirSync(dirname(to), { recursive: true });
      writeFileSync(to.replace(/\.ts$/, ".js"), outputText);
    }
  }
  const imports = { "#platform": "./engine/wasm/platform-node.js" };
  writeFileSync(join(folder, "package.json"), JSON.stringify({ type: "module", imports }));
}

function geometry(text, images) {
  const [ci, co, side] = text.split(/[x@]/).map(Number);
  const n = images ?? Math.max(1, Math.round(MULTIPLICATIONS / (ci * co * side * side * 9)));
  const size = {
    n,
    ci,
    h: side,
    w: side,
    co,
    kh: 3,
    kw: 3,
    sh: 1,
    sw: 1,
    ph: 1,
    pw: 1,
    dh: 1,
    dw: 1,
    groups: 1,
    oh: side,
    ow: side,
  };
  return { text, size, x: n * ci * side * side, y: n * co * side * side, weight: ci * co * 9 };
}

/** Numbers that look normal, the same in every run. */
function numbers(count, seed) {
  let state = seed;
  const next = () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
  return Float32Array.from({ length: count }, () => (next() + next() + next() + next() - 2) * 1.7);
}

/** A call of a kernel on a backend, its inputs, and what to read of it. */
function callOf(backend, kernel, { size, x, y, weight }) {
  const tensors = { x: [x, 1], weight: [weight, 2], bias: null, y: [y, 3], dy: [y, 4], dx: [x, 5], dweight: [weight, 6] };
  const names = {
    conv2d: ["x", "weight", "bias", "y"],
    conv2dBackwardInput: ["dy", "weight", "dx"],
    conv2dBackwardWeight: ["x", "dy", "dweight"],
  }[kernel];
  const args = { ...size };
  for (const name of names) {
    args[name] = tensors[name] && backend.alloc("float32", tensors[name][0]);
    if (args[name]) backend.write(args[name], numbers(...tensors[name]));
  }
  return {
    run() {
      backend.call(kernel, args);
      backend.flush();
    },
    result: () => backend.read(args[names.at(-1)]),
    release() {
      for (const name of names) if (args[name]) backend.release(args[name]);
    },
  };
}

/** Shortest time of each of some calls over interleaved rounds. */
function fastest(calls, rounds) {
  const best = calls.map(() => Number.POSITIVE_INFINITY);
  for (let round = 0; round < rounds + 3; round++) {
    calls.forEach(({ run }, i) => {
      const start = performance.now();
      run();
      if (round >= 3) best[i] = Math.min(best[i], performance.now() - start);
    });
  }
  return best;
}

/** Largest difference of each result from float64, relative to its largest value. */
function errors(backends, reference, kernel, shape) {
  const read = (backend) => {
    const call = callOf(backend, kernel, shape);
    call.run();
    const values = call.result();
    call.release();
    return values;
  };
  const want = read(reference);
  const largest = want.reduce((a, b) => Math.max(a, Math.abs(b)), 0);
  return backends.map((backend) => read(backend).reduce((worst, v, i) => Math.max(worst, Math.abs(v - want[i])), 0) / largest);
}

/** A row of the table. Errors are measured on one image, as float64 takes its time. */
function measure(text, kernel, backends, reference, rounds) {
  const shape = geometry(text);
  const calls = backends.map((backend) => callOf(backend, kernel, shape));
  const [direct, winograd] = fastest(calls, rounds);
  for (const call of calls) call.release();
  const [errorDirect, errorWinograd] = errors(backends, reference, kernel, geometry(text, 1));
  const rate = (ms) => Math.round((2 * shape.y * shape.size.ci * 9) / ms / 1e6);
  return {
    shape: text,
    images: shape.size.n,
    kernel,
    "direct ms": Number(direct.toFixed(2)),
    "winograd ms": Number(winograd.toFixed(2)),
    "direct GFLOP/s": rate(direct),
    "winograd GFLOP/s": rate(winograd),
    "direct error": errorDirect.toExponential(1),
    "winograd error": errorWinograd.toExponential(1),
  };
}

const { values } = parseArgs({
  options: {
    rounds: { type: "string", default: "15" },
    threads: { type: "string", default: "2" },
    shapes: { type: "string", default: SHAPES },
    json: { type: "boolean", default: false },
  },
});
const threads = Number(values.threads);
execFileSync(process.execPath, [at("scripts/build-kernels.mjs")], { stdio: "inherit" });
const folder = mkdtempSync(join(tmpdir(), "conv-shapes-"));
const backends = [];
try {
  let reference;
  for (const how of ["direct", "winograd"]) {
    transpileEngine(join(folder, how), how === "direct");
    const load = (path) => import(pathToFileURL(join(folder, how, path)).href);
    const { createWasmBackend } = await load("engine/wasm/backend.js");
    backends.push(await createWasmBackend({ threads }));
    reference = new (await load("engine/reference/backend.js")).ReferenceBackend();
  }
  const rows = values.shapes
    .split(",")
    .flatMap((text) => DIRECTIONS.map((kernel) => measure(text, kernel, backends, reference, Number(values.rounds))));
  const { processor } = machine();
  if (values.json) console.log(JSON.stringify({ processor, node: process.version, threads, rows }, null, 2));
  else {
    console.log(`${processor}, Node ${process.version}, ${threads} threads`);
    console.table(rows);
  }
} finally {
  for (const backend of backends) backend.dispose();
  rmSync(folder, { recursive: true, force: true });
}
