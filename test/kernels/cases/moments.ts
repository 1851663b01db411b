import { type BufferSpec, type CaseTable, floats, ints, type KernelCase, Maker, output, withValues } from "./case.js";

const make = new Maker(9);
type Shape = readonly [n: number, c: number, s: number];

function channelMoments([n, c, s]: Shape, x: BufferSpec, what = ""): KernelCase<"channelMoments"> {
  return { title: `[${n}, ${c}, ${s}]${what}`, buffers: { x, moments: output(3 * c) }, scalars: { n, c, s } };
}

const shapes: Shape[] = [
  [1, 3, 1],
  [2, 1, 1],
  [5, 13, 17],
  [256, 100, 1],
  [17, 65, 1],
  [70, 1030, 1],
  [64, 6, 25],
  [9, 65, 130],
  [3, 2, 17000],
];
const normal = ([n, c, s]: Shape, mean = 0, std = 1): BufferSpec => make.normal(n * c * s, mean, std);
const constant = ([n, c, s]: Shape): BufferSpec =>
  floats(Float64Array.from({ length: n * c * s }, (_, i) => 0.1 + (Math.floor(i / s) % c)));

const momentsOfChannels: KernelCase<"channelMoments">[] = [
  ...shapes.flatMap((shape) => [
    channelMoments(shape, normal(shape, 0.5, 2)),
    channelMoments(shape, normal(shape, 1e6), " at offset 1e6"),
    channelMoments(shape, constant(shape), " of constant channels"),
  ]),
  ...[[5, 13, 17] as const, [65, 13, 1] as const].map((shape) =>
    channelMoments(shape, withValues(normal(shape), [20, NaN], [200, Infinity]), " with NaN and Infinity"),
  ),
  channelMoments([0, 5, 3], floats([]), " of nothing"),
  channelMoments([0, 5, 1], floats([]), " of nothing"),
  channelMoments([2, 5, 0], floats([]), " of nothing"),
];

/** A mask with about a third of the positions, all or none. */
function masked([n, c, s]: Shape, x: BufferSpec, keep: (i: number) => boolean, what: string): KernelCase<"maskedMoments"> {
  const mask = floats(Array.from({ length: n * s }, (_, i) => (keep(i) ? 1 + (i % 2) : 0)));
  return {
    title: `[${n}, ${c}, ${s}]${what}`,
    buffers: { x, mask, moments: output(3 * c), count: output(1) },
    scalars: { n, c, s },
  };
}

const someOf = (i: number): boolean => (i * 7919) % 3 === 0;
const maskedCases: KernelCase<"maskedMoments">[] = [
  ...[[5, 13, 17] as const, [256, 100, 1] as const, [3, 2, 17000] as const].flatMap((shape) => [
    masked(shape, normal(shape, 0.5, 2), someOf, ""),
    masked(shape, normal(shape, 1e6), someOf, " at offset 1e6"),
    masked(shape, constant(shape), someOf, " of constant channels"),
    masked(shape, normal(shape), () => true, ", all there"),
    masked(shape, normal(shape), () => false, ", nothing there"),
  ]),
  masked(
    [5, 13, 17],
    withValues(normal([5, 13, 17]), [1, NaN], [20, Infinity]),
    (i) => i !== 1 && i !== 3,
    ", NaN and Infinity outside",
  ),
];

/** Moments [parts, 3, c] as wasm would have stored them: means around `offset`, low parts, variances. */
function parts(k: number, c: number, offset = 0): BufferSpec {
  const values = Array.from({ length: k }, () => [
    ...make.normal(c, offset).data!,
    ...make.uniform(c, -1e-3, 1e-3).data!,
    ...make.uniform(c, 0.5, 2).data!,
  ]);
  return floats(values.flat());
}

function merge(c: number, counts: number[], spec: BufferSpec, what = ""): KernelCase<"mergeMoments"> {
  return {
    title: `${c} channels of ${counts.length} parts${what}`,
    buffers: { parts: spec, counts: ints(counts), moments: output(3 * c) },
    scalars: { k: counts.length, c },
  };
}

/** Three parts of two channels, whose values are all 0.1 and all -7. */
const equalParts = floats([1, 2, 3].flatMap(() => [0.1, -7, 0, 0, 0, 0]));
const bad = withValues(parts(3, 5), [15, NaN], [25, NaN], [16, Infinity], [21, 0], [26, NaN]);

const merged: KernelCase<"mergeMoments">[] = [
  merge(13, [4], parts(1, 13)),
  merge(13, [4, 7], parts(2, 13)),
  merge(1030, [4, 1, 100000, 3], parts(4, 1030)),
  merge(9000, [4, 5], parts(2, 9000)),
  merge(13, [1000, 900, 1100], parts(3, 13, 1e6), " at offset 1e6"),
  merge(2, [3, 5, 9], equalParts, " of one constant"),
  merge(5, [3, 0, 9], bad, ", NaN and Infinity in an empty one"),
  merge(5, [3, 2, 9], bad, ", NaN and Infinity in one"),
  merge(5, [0, 2, 0], bad, ", NaN and Infinity in the only one"),
  merge(5, [0, 0, 0], bad, ", all empty"),
  merge(5, [], floats([])),
];

interface UpdateOptions {
  moments?: BufferSpec;
  count?: number;
  counter?: number;
  rejected?: boolean;
  momentum?: number;
  unbiased?: 0 | 1;
  guard?: 0 | 1;
}

function update(c: number, options: UpdateOptions): KernelCase<"updateRunning"> {
  const { moments = parts(1, c), count = 50, counter, rejected = true, momentum = 0.1, unbiased = 1, guard = 1 } = options;
  const { moments: _, ...shown } = options;
  return {
    title: `${c} channels${options.moments ? " with NaN and Infinity" : ""} ${JSON.stringify(shown)}`,
    buffers: {
      moments,
      count: floats([count]),
      runningMean: make.normal(c),
      runningVar: make.uniform(c, 0.5, 2),
      counter: counter === undefined ? null : ints([counter]),
      rejected: rejected ? ints(Array.from({ length: c }, (_, i) => (counter === 1 ? 0 : i % 3))) : null,
    },
    scalars: { c, momentum, cumulative: counter === undefined ? 0 : 1, unbiased, guard },
  };
}

const unfit = withValues(parts(1, 13), [2, NaN], [17, NaN], [28, Infinity], [11, -Infinity]);

const updates: KernelCase<"updateRunning">[] = [
  update(13, {}),
  update(40003, {}),
  update(13, { unbiased: 0, momentum: 1 }),
  update(13, { counter: 1 }),
  update(13, { counter: 7 }),
  update(13, { count: 0 }),
  update(13, { count: 0, moments: unfit, guard: 0 }),
  update(13, { count: 1 }),
  update(13, { count: 1, unbiased: 0 }),
  update(13, { count: 1, guard: 0 }),
  update(13, { count: 2 }),
  update(13, { moments: unfit }),
  update(13, { moments: unfit, rejected: false }),
  update(13, { moments: unfit, guard: 0 }),
];

export const momentCases: CaseTable<"channelMoments" | "maskedMoments" | "mergeMoments" | "updateRunning"> = {
  channelMoments: momentsOfChannels,
  maskedMoments: maskedCases,
  mergeMoments: merged,
  updateRunning: updates,
};
