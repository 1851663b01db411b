// x^y of the float32 kernel against float64's Math.pow, which is right to its own rounding.
import { afterAll, expect, test } from "vitest";
import { binaryOps, unaryOps } from "../../src/engine/kernels.js";
import { createWasmBackendSync } from "../../src/engine/wasm/backend.js";
import { pad } from "./cases/case.js";

const backend = createWasmBackendSync();
afterAll(() => backend.dispose());

function powers(x: Float32Array, y: Float32Array): Float32Array {
  const n = x.length;
  const [a, b, out] = [x, y, x].map((values) => {
    const storage = backend.alloc("float32", n);
    backend.write(storage, values);
    return storage;
  });
  const op = binaryOps.indexOf("pow");
  backend.call("binary", { a: a!, b: b!, y: out!, op, shape: pad([n], 1), aStrides: pad([1], 0), bStrides: pad([1], 0) });
  return Float32Array.from(backend.read(out!));
}

/** Distance to the next larger float32 in size. */
function ulp(x: number): number {
  return 2 ** (Math.max(Math.floor(Math.log2(Math.abs(x))), -126) - 23);
}

test("x^y is within 0.501 ulp of float64 for 200,000 pairs over all exponents, results from 1e-45 to 3e38", () => {
  const [x, y] = [new Float32Array(200_000), new Float32Array(200_000)];
  let state = 1;
  const random = () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
  for (let i = 0; i < x.length; i++) {
    x[i] = 2 ** (i % 2 ? random() * 276 - 149 : random() * 2 - 1);
    y[i] = (random() * 2 - 1) * Math.min(1e6, 150 / Math.abs(Math.log2(x[i]!) || 1e-9));
    if (i % 4 === 3) y[i] = Math.round(y[i]!);
  }
  const got = powers(x, y);
  let worst = 0;
  for (let i = 0; i < x.length; i++) {
    const exact = x[i]! ** y[i]!;
    const error = Number.isFinite(got[i]!) ? Math.abs(got[i]! - exact) / ulp(exact) : Number(exact < 3.4028235e38);
    worst = Math.max(worst, error);
  }
  expect(worst).toBeLessThan(0.501);
});

test("a power of special numbers is IEEE 754's, sign of zero included", () => {
  const numbers = [0, -0, 1, -1, 2, -2, 3, -3, 0.5, -0.5, 1.5, 16777217, 1e-45, -1e-45, 3e38, -3e38, Infinity, -Infinity, NaN];
  const pairs = numbers.flatMap((a) => numbers.map((b) => [a, b] as const));
  const got = powers(
    Float32Array.from(pairs, ([a]) => a),
    Float32Array.from(pairs, ([, b]) => b),
  );
  pairs.forEach(([a, b], i) => {
    const [base, exponent] = [Math.fround(a), Math.fround(b)];
    // JavaScript gives NaN for powers of ±1 where IEEE 754 gives 1.
    const is1 = base === 1 || (base === -1 && !Number.isFinite(exponent) && !Number.isNaN(exponent));
    expect([a, b, got[i]]).toEqual([a, b, is1 ? 1 : Math.fround(base ** exponent)]);
  });
});

test("powers of one exponent are those of an array of it, bit for bit", () => {
  const x = Float32Array.from({ length: 1001 }, (_, i) => (i - 500) / 37);
  const storage = backend.alloc("float32", x.length);
  for (const alpha of [3, -1, 0.5, 2.5]) {
    backend.write(storage, x);
    backend.call("unary", { x: storage, y: storage, n: x.length, op: unaryOps.indexOf("powScalar"), alpha });
    expect(backend.read(storage)).toEqual(powers(x, new Float32Array(x.length).fill(alpha)));
  }
});
