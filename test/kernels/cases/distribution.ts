import { type BufferSpec, type CaseTable, floats, type KernelCase, Maker, output, withValues } from "./case.js";

const make = new Maker(13);
type Shape = readonly [groups: number, units: number, inner: number];

const shapes: Shape[] = [
  [1, 1, 1],
  [1, 1, 2],
  [2, 3, 1],
  [5, 13, 17],
  [128, 100, 1],
  [9, 65, 130],
  [3, 2, 17000],
  [1, 1, 64000],
  [1, 1, 64001],
  [7, 2, 10007],
];

const size = ([groups, units, inner]: Shape): number => groups * units * inner;
const sizes = ([groups, units, inner]: Shape) => ({ groups, units, inner });
const fill = (shape: Shape, f: (i: number) => number): BufferSpec =>
  floats(Float64Array.from({ length: size(shape) }, (_, i) => f(i)));

/** Every bit pattern may come up, with NaN, infinities, subnormal numbers and both zeros. */
function anyBits(shape: Shape): BufferSpec {
  const words = Uint32Array.from({ length: size(shape) }, () => make.random.integer(2 ** 32));
  return floats(new Float32Array(words.buffer));
}

/** Values to describe: title and contents. */
const contents: [string, Shape, BufferSpec][] = [
  ...shapes.map((shape): [string, Shape, BufferSpec] => ["", shape, make.normal(size(shape), 0.5, 2)]),
  ...(
    [
      [5, 13, 17],
      [65, 13, 1],
      [1, 2, 70000],
    ] as Shape[]
  ).flatMap((shape): [string, Shape, BufferSpec][] => [
    [" of any bits", shape, anyBits(shape)],
    [" at offset 1e6", shape, make.normal(size(shape), 1e6)],
    [" of constants", shape, fill(shape, (i) => 0.1 + (Math.floor(i / shape[2]) % shape[1]))],
    [" of few values", shape, fill(shape, (i) => (i * 7919) % 5)],
    [" of zeros of both signs", shape, fill(shape, (i) => (i % 3 ? 0 : -0))],
    [" on edges of bins", shape, fill(shape, (i) => -1 + (i % 31) * 0.1)],
    [" with NaN and Infinity", shape, withValues(make.normal(size(shape)), [1, NaN], [20, Infinity], [200, -Infinity])],
    [" of nothing finite", shape, fill(shape, (i) => [NaN, Infinity, -Infinity][i % 3]!)],
  ]),
  [" of nothing", [0, 5, 3], floats([])],
  [" of nothing", [4, 5, 0], floats([])],
];

const title = (shape: Shape, what: string): string => `[${shape.join(", ")}]${what}`;
const doubles = (values: readonly number[]): BufferSpec => ({
  dtype: "float64",
  length: values.length,
  data: Float64Array.from(values),
});

const momentsOf = ([what, shape, x]: (typeof contents)[number]): KernelCase<"finiteMoments"> => ({
  title: title(shape, what),
  buffers: { x, moments: output(6 * shape[1], "float64") },
  scalars: sizes(shape),
});

const percentilesOf = ([what, shape, x]: (typeof contents)[number], percents: readonly number[]): KernelCase<"percentiles"> => ({
  title: `${percents.length} percentiles of ${title(shape, what)}`,
  buffers: { x, percents: doubles(percents), y: output(shape[1] * percents.length, "float64") },
  scalars: { ...sizes(shape), count: percents.length },
});

const histogramOf = (
  [what, shape, x]: (typeof contents)[number],
  bins: number,
  low: number,
  high: number,
): KernelCase<"histogram"> => ({
  title: `${bins} bins from ${low} to ${high} of ${title(shape, what)}`,
  buffers: { x, counts: output(shape[1] * (bins + 3), "int32") },
  scalars: { ...sizes(shape), bins, low, high },
});

export const distributionCases: CaseTable<"finiteMoments" | "percentiles" | "histogram"> = {
  finiteMoments: contents.map(momentsOf),
  percentiles: [
    ...contents.map((content) => percentilesOf(content, [15, 50, 85])),
    ...contents.slice(0, 6).map((content) => percentilesOf(content, [100, 0, 99.99, 1 / 3, 12.5, 50, 50])),
  ],
  histogram: [
    ...contents.flatMap((content) => [histogramOf(content, 30, -1, 2), histogramOf(content, 7, 0, 0.7)]),
    ...contents.slice(0, 6).map((content) => histogramOf(content, 1, -Number.MAX_VALUE / 4, 0)),
    ...contents.slice(0, 6).map((content) => histogramOf(content, 1000, -1e-3, 1e-3)),
  ],
};
