import { type BufferSpec, type CaseTable, floats, type KernelCase, Maker, output, withValues } from "./case.js";

const make = new Maker(9);
type Shape = readonly [outer: number, count: number, inner: number];

const shapes: Shape[] = [
  [0, 5, 3],
  [1, 1, 1],
  [1, 2, 1],
  [5, 13, 17],
  [65, 10, 1],
  [3000, 10, 1],
  [2, 1000, 1],
  [3, 5, 900],
];

interface Options {
  weight?: boolean;
  smoothing?: number;
  /** Some targets are ignored. */
  ignore?: number;
  /** Some targets are no class. */
  invalid?: boolean;
  /** How large the logits are. */
  std?: number;
}

const variants: Options[] = [
  { weight: true },
  { smoothing: 0.1 },
  { weight: true, smoothing: 0.3, ignore: -100 },
  { ignore: 2 },
  { ignore: -1, invalid: true },
  { invalid: true, weight: true, smoothing: 0.1 },
  { std: 40 },
];

function targets(n: number, count: number, { ignore, invalid }: Options): BufferSpec {
  const changes: [number, number][] = [];
  for (let i = 0; i < n; i++) {
    if (ignore !== undefined && i % 5 === 2) changes.push([i, ignore]);
    if (invalid && i % 11 === 4) changes.push([i, i % 2 ? count : -7]);
  }
  return withValues(make.integers(n, count), ...changes);
}

function shared([outer, count, inner]: Shape, options: Options) {
  const { weight = false, smoothing = 0, ignore = -100, std = 2 } = options;
  return {
    title: `[${outer}, ${count}, ${inner}] ${JSON.stringify(options)}`,
    buffers: {
      x: make.normal(outer * count * inner, 0, std),
      target: targets(outer * inner, count, options),
      weight: weight ? make.uniform(count, 0.2, 3) : null,
    },
    scalars: { outer, count, inner, smoothing, ignoreIndex: ignore },
  };
}

function forward(shape: Shape, options: Options = {}): KernelCase<"crossEntropy"> {
  const { title, buffers, scalars } = shared(shape, options);
  const n = shape[0] * shape[2];
  return { title, buffers: { ...buffers, loss: output(n), rowWeight: output(n), lse: output(n) }, scalars };
}

function logSums(x: BufferSpec, [outer, count, inner]: Shape): BufferSpec {
  const lse = new Float64Array(outer * inner);
  for (let o = 0; o < outer; o++) {
    for (let i = 0; i < inner; i++) {
      let sum = 0;
      for (let c = 0; c < count; c++) sum += Math.exp(x.data![(o * count + c) * inner + i]!);
      lse[o * inner + i] = Math.log(sum);
    }
  }
  return floats(lse);
}

function backward(shape: Shape, options: Options, reduced: boolean): KernelCase<"crossEntropyBackward"> {
  const { title, buffers, scalars } = shared(shape, options);
  return {
    title: `${title}${reduced ? " of the mean" : ", a gradient for each"}`,
    buffers: {
      ...buffers,
      lse: logSums(buffers.x, shape),
      totalWeight: reduced ? floats([37.5]) : null,
      dloss: reduced ? floats([25]) : make.normal(shape[0] * shape[2]),
      dx: output(shape[0] * shape[1] * shape[2]),
    },
    scalars,
  };
}

const reduce = (n: number, mean: number, rowWeight: BufferSpec, what = ""): KernelCase<"crossEntropyReduce"> => ({
  title: `n = ${n}, mean ${mean}${what}`,
  buffers: { loss: make.uniform(n, 0, 4), rowWeight, total: output(1), totalWeight: output(1) },
  scalars: { n, mean },
});

export const crossEntropyCases: CaseTable<"crossEntropy" | "crossEntropyReduce" | "crossEntropyBackward"> = {
  crossEntropy: [
    ...shapes.map((shape) => forward(shape)),
    ...variants.flatMap((options) => [forward([65, 10, 1], options), forward([5, 13, 17], options)]),
  ],
  crossEntropyReduce: [
    ...[1, 5, 64, 8193, 40003].flatMap((n) => [0, 1].map((mean) => reduce(n, mean, make.uniform(n, 0.2, 3)))),
    reduce(0, 0, floats([])),
    reduce(0, 1, floats([])),
    reduce(3, 1, floats([0, 0, 0]), ", all ignored"),
  ],
  crossEntropyBackward: [
    ...shapes.flatMap((shape) => [backward(shape, {}, true), backward(shape, {}, false)]),
    ...variants.flatMap((options) => [backward([65, 10, 1], options, true), backward([5, 13, 17], options, false)]),
  ],
};
