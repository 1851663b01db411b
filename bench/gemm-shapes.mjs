// The measurement behind the micro-kernel of kernels/gemm.ts: which tile of the matrix product is fastest on packed panels?
// Writes AssemblyScript for each shape (rows x columns of C), builds it with plain and with relaxed SIMD, and prints GFLOP/s
// of one thread. `node bench/gemm-shapes.mjs`; --rounds N (default 30), --json.
import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { setFlagsFromString } from "node:v8";
import { at } from "../scripts/paths.mjs";
import { machine } from "./machine.mjs";
import { median } from "./peers/serve.mjs";

const SHAPES = [
  [4, 8],
  [5, 8],
  [6, 8],
  [8, 8],
  [3, 12],
  [4, 12],
  [2, 16],
  [3, 16],
  [4, 4],
  [8, 4],
  [12, 4],
];
const K = 256;
/** Sizes of C: about what stays in the caches, a multiple of every tile. */
const [ROWS, COLUMNS] = [120, 240];
/** Where A, B and C lie in the memory of 4 MiB. */
const [A, B, C, PAGES] = [1 << 16, 1 << 20, 1 << 21, 64];

const range = (count) => Array.from({ length: count }, (_, i) => i);
const lines = (count, line) => range(count).map(line).join("\n");

/** One step of k: a row of B in registers, each number of A spread over a register, all products added up. */
function stepOf(rows, vectors, fused) {
  const add = (i, j) => {
    const sum = `c${i}_${j}`;
    return `${sum} = ${fused ? `f32x4.relaxed_madd(t, b${j}, ${sum})` : `f32x4.add(${sum}, f32x4.mul(t, b${j}))`};`;
  };
  const rowOf = (i) =>
    `t = v128.load32_splat(a, ${4 * i}); ${range(vectors)
      .map((j) => add(i, j))
      .join(" ")}`;
  return `${lines(vectors, (j) => `const b${j} = v128.load(b, ${16 * j});`)}\nlet t: v128;\n${lines(rows, rowOf)}`;
}

/** A function that multiplies packed strips of A with packed panels of B into C. */
function sourceOf([rows, columns], fused) {
  const vectors = columns / 4;
  const name = `product${rows}x${columns}`;
  const sums = range(rows).flatMap((i) => range(vectors).map((j) => `c${i}_${j}`));
  const store = (i) =>
    `${lines(vectors, (j) => `v128.store(c, f32x4.add(v128.load(c, ${16 * j}), c${i}_${j}), ${16 * j});`)}\nc += stride;`;
  return `function tile${name}(a: usize, b: usize, c: usize, stride: usize): void {
${sums.map((sum) => `let ${sum} = f32x4.splat(0);`).join("\n")}
for (let k = 0; k < ${K}; k++) {
${stepOf(rows, vectors, fused)}
a += ${4 * rows}; b += ${4 * columns};
}
${lines(rows, store)}
}
export function ${name}(m: i32, n: i32, a: usize, b: usize, c: usize): void {
  for (let j = 0; j < n; j += ${columns}) {
    for (let i = 0; i < m; i += ${rows}) {
      tile${name}(a + <usize>(i * ${4 * K}), b + <usize>(j * ${4 * K}), c + <usize>((i * n + j) * 4), <usize>(n * 4));
    }
  }
}
`;
}

function compile(folder, name, fused) {
  const source = join(folder, `${name}.ts`);
  const wasm = join(folder, `${name}.wasm`);
  writeFileSync(source, SHAPES.map((shape) => sourceOf(shape, fused)).join("\n"));
  const features = fused ? "simd,bulk-memory,relaxed-simd" : "simd,bulk-memory";
  const flags = ["-O3", "--converge", "--noAssert", "--runtime", "stub", "--enable", features, "--initialMemory", String(PAGES)];
  execFileSync(process.execPath, [at("node_modules/assemblyscript/bin/asc.js"), source, ...flags, "-o", wasm], { cwd: folder });
  return new WebAssembly.Instance(new WebAssembly.Module(readFileSync(wasm)), { env: { abort() {} } }).exports;
}

/** What to time for each shape; the first call checks that every sum is k, for matrices of ones. */
function prepare(exports, [rows, columns]) {
  const [m, n] = [Math.floor(ROWS / rows) * rows, Math.floor(COLUMNS / columns) * columns];
  const product = exports[`product${rows}x${columns}`];
  const memory = new Float32Array(exports.memory.buffer);
  const part = (start, count) => memory.subarray(start / 4, start / 4 + count);
  part(A, m * K).fill(1);
  part(B, n * K).fill(1);
  part(C, m * n).fill(0);
  const run = () => product(m, n, A, B, C);
  run();
  if (part(C, m * n).some((value) => value !== K)) throw new Error(`the ${rows}x${columns} kernel is wrong`);
  for (let i = 0; i < 100; i++) run();
  return { name: `${rows}x${columns}`, run, flops: 2 * m * n * K, rates: [] };
}

/** GFLOP/s of each shape: the median over interleaved rounds of the best of a few calls. */
function measure(exports, rounds) {
  const shapes = SHAPES.map((shape) => prepare(exports, shape));
  for (let round = 0; round < rounds; round++) {
    for (const shape of shapes) {
      let best = Number.POSITIVE_INFINITY;
      for (let i = 0; i < 8; i++) {
        const start = performance.now();
        shape.run();
        best = Math.min(best, performance.now() - start);
      }
      shape.rates.push(shape.flops / best / 1e6);
    }
  }
  return Object.fromEntries(shapes.map(({ name, rates }) => [name, median(rates)]));
}

const { values } = parseArgs({
  options: { rounds: { type: "string", default: "30" }, json: { type: "boolean", default: false } },
});
// Node 20 has relaxed SIMD behind a flag; newer ones do not know the flag and say so.
if (Number(process.versions.node.split(".")[0]) < 22) setFlagsFromString("--experimental-wasm-relaxed-simd");
const folder = mkdtempSync(join(tmpdir(), "gemm-shapes-"));
try {
  const plain = measure(compile(folder, "plain", false), Number(values.rounds));
  const relaxed = measure(compile(folder, "relaxed", true), Number(values.rounds));
  const { processor } = machine();
  if (values.json) console.log(JSON.stringify({ processor, node: process.version, k: K, plain, relaxed }, null, 2));
  else {
    console.log(`${processor}, Node ${process.version}, one thread, packed, k = ${K}, GFLOP/s`);
    console.table(
      Object.fromEntries(
        Object.keys(plain).map((name) => [
          name,
          { plain: Number(plain[name].toFixed(1)), relaxed: Number(relaxed[name].toFixed(1)) },
        ]),
      ),
    );
  }
} finally {
  rmSync(folder, { recursive: true, force: true });
}
