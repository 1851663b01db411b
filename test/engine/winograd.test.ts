import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { Random } from "../../src/core/random.js";
import type { Backend, HostArray } from "../../src/engine/backend.js";
import type { KernelArgs } from "../../src/engine/kernels.js";
import { ReferenceBackend } from "../../src/engine/reference/backend.js";
import { createWasmBackend } from "../../src/engine/wasm/backend.js";
import { phases } from "../../src/engine/wasm/phases.js";
import { planOf } from "../../src/engine/wasm/schedule.js";
import { bitDifference } from "../kernels/compare.js";

type Geometry = Omit<KernelArgs<"conv2d", unknown>, "x" | "weight" | "bias" | "y">;
type Direction = "conv2d" | "conv2dBackwardInput" | "conv2dBackwardWeight";
const directions: readonly Direction[] = ["conv2d", "conv2dBackwardInput", "conv2dBackwardWeight"];

const reference = new ReferenceBackend();
const backends: Backend[] = [];
beforeAll(async () => {
  for (const threads of [1, 2, 3, 8]) backends.push(await createWasmBackend({ threads }));
});
afterAll(() => {
  for (const backend of [...backends, reference]) backend.dispose();
});

const geometry = (n: number, ci: number, co: number, h: number, w = h, pad = 1): Geometry => ({
  ...{ n, ci, h, w, co, kh: 3, kw: 3, sh: 1, sw: 1, ph: pad, pw: pad, dh: 1, dw: 1, groups: 1 },
  oh: h + 2 * pad - 2,
  ow: w + 2 * pad - 2,
});

interface Data {
  readonly x: Float32Array;
  readonly weight: Float32Array;
  readonly dy: Float32Array;
}

function normal(g: Geometry, xMean = 0, dyMean = 0): Data {
  const random = new Random(g.ci * 31 + g.co);
  const numbers = (count: number, mean: number) => Float32Array.from({ length: count }, () => mean + random.normal());
  const sizes = [g.n * g.ci * g.h * g.w, g.co * g.ci * 9, g.n * g.co * g.oh * g.ow] as const;
  return { x: numbers(sizes[0], xMean), weight: numbers(sizes[1], 0), dy: numbers(sizes[2], dyMean) };
}

/** Runs one direction; returns its result. */
function run(backend: Backend, direction: Direction, g: Geometry, { x, weight, dy }: Data): HostArray {
  const give = (data: Float32Array) => {
    const storage = backend.alloc("float32", data.length);
    backend.write(storage, data);
    return storage;
  };
  const [a, b, c] = [give(x), give(weight), give(dy)];
  const outputs = { conv2d: dy, conv2dBackwardInput: x, conv2dBackwardWeight: weight };
  const out = give(outputs[direction].map(() => Number.NaN));
  if (direction === "conv2d") backend.call(direction, { ...g, x: a, weight: b, bias: null, y: out });
  else if (direction === "conv2dBackwardInput") backend.call(direction, { ...g, dy: c, weight: b, dx: out });
  else backend.call(direction, { ...g, x: a, dy: c, dweight: out });
  const result = backend.read(out);
  for (const storage of [a, b, c, out]) backend.release(storage);
  return result;
}

/** Largest difference of one thread's result from float64, relative to the largest result. */
function errorOf(direction: Direction, g: Geometry, data: Data): number {
  const want = run(reference, direction, g, data);
  const got = run(backends[0]!, direction, g, data);
  let worst = 0;
  let largest = 0;
  for (let i = 0; i < want.length; i++) {
    worst = Math.max(worst, Math.abs(got[i]! - want[i]!));
    largest = Math.max(largest, Math.abs(want[i]!));
  }
  return worst / largest;
}

const isWinograd = (direction: Direction, g: Geometry): boolean => {
  const none = { x: 0, weight: 0, bias: 0, y: 0, dy: 0, dx: 0, dweight: 0 };
  const { work } = planOf(direction, { ...g, ...none });
  const phase = phases[direction]!.findIndex((name) => name.endsWith("Winograd"));
  return (work[phase]?.units ?? 0) > 0;
};

describe("the choice of Winograd's algorithm", () => {
  it.each(directions)(
    "%s: 3 × 3 with 8 channels and more, and not for 1 × 1 images, few channels, strides, dilation, groups",
    (direction) => {
      expect(isWinograd(direction, geometry(1, 8, 8, 4))).toBe(true);
      expect(isWinograd(direction, geometry(1, 512, 512, 7))).toBe(true);
      const base = geometry(1, 64, 64, 16);
      for (const other of [
        { kh: 1 },
        { kw: 5 },
        { sh: 2 },
        { sw: 2 },
        { dh: 2 },
        { dw: 2 },
        { groups: 2 },
        { ci: 3 },
        { co: 4 },
      ]) {
        expect(isWinograd(direction, { ...base, ...other })).toBe(false);
      }
      expect(isWinograd(direction, geometry(64, 64, 64, 1))).toBe(false);
    },
  );

  it("does not depend on the number of images, for any image up to 20 × 20", () => {
    for (let side = 1; side <= 20; side++) {
      for (const direction of directions) {
        const one = isWinograd(direction, geometry(1, 16, 16, side));
        for (const n of [2, 5, 64]) expect(isWinograd(direction, geometry(n, 16, 16, side))).toBe(one);
      }
    }
  });
});

describe("Winograd's convolutions are within 1e-5 of float64, relative to the largest result", () => {
  const shapes = [geometry(2, 32, 32, 16), geometry(2, 64, 128, 8), geometry(1, 512, 48, 7), geometry(1, 48, 512, 9, 6, 2)];
  const cases = shapes.flatMap((g) => directions.map((direction) => [direction, g] as const));

  it.each(cases.map(([direction, g]) => ({ direction, g, ...g })))(
    `$direction, $ci → $co channels, $h × $w, normal numbers`,
    ({ direction, g }) => {
      expect(errorOf(direction, g, normal(g))).toBeLessThan(1e-5);
    },
  );

  it.each(cases.map(([direction, g]) => ({ direction, g, ...g })))(
    `$direction, $ci → $co channels, $h × $w, offset 100`,
    ({ direction, g }) => {
      expect(errorOf(direction, g, normal(g, 100, 100))).toBeLessThan(1e-5);
    },
  );

  it.each(directions)(
    "%s, signs that alternate from pixel to pixel, and a few values a thousand times the others",
    (direction) => {
      const g = geometry(2, 64, 64, 16);
      const data = normal(g);
      const alternate = (values: Float32Array) =>
        values.map((v, i) => (Math.abs(v) + 1) * ((i + Math.floor(i / 16)) % 2 ? -1 : 1));
      expect(errorOf(direction, g, { ...data, x: alternate(data.x), dy: alternate(data.dy) })).toBeLessThan(1e-5);
      const spike = (values: Float32Array) => values.map((v, i) => (i % 1009 === 0 ? 1000 * v : v));
      expect(errorOf(direction, g, { x: spike(data.x), dy: spike(data.dy), weight: data.weight })).toBeLessThan(1e-5);
    },
  );
});

describe("bits of Winograd's convolutions", () => {
  /** Several panels of tiles that two images share, several blocks of a thread, groups of outputs, chunks of inputs. */
  const shapes = [
    geometry(5, 16, 12, 5, 7),
    geometry(5, 8, 20, 30, 33, 2),
    geometry(5, 300, 260, 6),
    geometry(5, 140, 9, 9, 4, 0),
  ];

  it.each(shapes.map((g) => ({ ...g, g })))("an image of [$ci, $h, $w] gives the same alone as in a batch of 5", ({ g }) => {
    const data = normal(g);
    for (const direction of ["conv2d", "conv2dBackwardInput"] as const) {
      const all = run(backends[0]!, direction, g, data);
      const part = (values: Float32Array, i: number) => values.slice((values.length / 5) * i, (values.length / 5) * (i + 1));
      for (let i = 0; i < 5; i++) {
        const alone = run(
          backends[0]!,
          direction,
          { ...g, n: 1 },
          { x: part(data.x, i), dy: part(data.dy, i), weight: data.weight },
        );
        expect(bitDifference(alone, part(all as Float32Array, i))).toBeNull();
      }
    }
  });

  it.each([...shapes, geometry(1, 256, 256, 4), geometry(40, 32, 32, 12)].map((g) => ({ ...g, g })))(
    "[$n, $ci, $h, $w] → $co channels: the same on 1, 2, 3 and 8 threads",
    ({ g }) => {
      const data = normal(g);
      for (const direction of directions) {
        const want = run(backends[0]!, direction, g, data);
        for (const backend of backends.slice(1)) expect(bitDifference(run(backend, direction, g, data), want)).toBeNull();
      }
    },
  );
});
