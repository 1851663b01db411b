import { type BufferSpec, type CaseTable, floats, ints, type KernelCase, Maker, output, withValues } from "./case.js";

const make = new Maker(7);
type Shape = readonly [n: number, c: number, s: number];

const shapes: Shape[] = [
  [2, 1, 1],
  [2, 8, 1],
  [5, 13, 17],
  [256, 100, 1],
  [3000, 5, 1],
  [17, 65, 1],
  [1, 3, 9],
  [4, 17, 16],
  [64, 6, 25],
  [9, 65, 130],
  [3, 2, 17000],
  [1, 130, 65],
];

const size = ([n, c, s]: Shape): number => n * c * s;
const name = ([n, c, s]: Shape): string => `[${n}, ${c}, ${s}]`;

/** Channel `k` of a [n, c, s] tensor changed by `f`. */
function mapChannel(spec: BufferSpec, [n, c, s]: Shape, k: number, f: (x: number, i: number) => number): BufferSpec {
  const data = spec.data!.slice();
  for (let i = 0; i < n * s; i++) {
    const p = (Math.floor(i / s) * c + k) * s + (i % s);
    data[p] = f(data[p]!, i);
  }
  return { ...spec, data };
}

interface TrainOptions {
  affine?: "both" | "weight" | "bias" | "none";
  running?: boolean;
  rejected?: boolean;
  counter?: number;
  eps?: number;
  momentum?: number;
  unbiased?: 0 | 1;
  guard?: 0 | 1;
  relu?: 0 | 1;
  tolerance?: number;
}

function train(shape: Shape, x: BufferSpec, options: TrainOptions = {}, what = ""): KernelCase<"batchNormTrain"> {
  const {
    affine = "both",
    running = true,
    rejected = false,
    counter,
    eps = 1e-5,
    momentum = 0.1,
    unbiased = 1,
    guard = 0,
    relu = 0,
  } = options;
  const [n, c, s] = shape;
  return {
    title: `${name(shape)}${what}`,
    buffers: {
      x,
      weight: scales(c, affine === "both" || affine === "weight"),
      bias: shifts(c, affine === "both" || affine === "bias"),
      runningMean: running ? make.normal(c) : null,
      runningVar: running ? make.uniform(c, 0.5, 2) : null,
      counter: counter === undefined ? null : ints([counter]),
      rejected: rejected ? ints(Array.from({ length: c }, (_, i) => (counter === 1 ? 0 : i % 3))) : null,
      y: output(size(shape)),
      stats: output(3 * c),
    },
    scalars: { n, c, s, eps, momentum, cumulative: counter === undefined ? 0 : 1, unbiased, guard, relu },
    ...(options.tolerance === undefined ? {} : { tolerance: options.tolerance }),
  };
}

const normal = (shape: Shape, mean = 0, std = 1): BufferSpec => make.normal(size(shape), mean, std);
/** γ of both signs and β, or null. */
const scales = (c: number, given: boolean): BufferSpec | null => (given ? make.normal(c, 0.5, 1) : null);
const shifts = (c: number, given: boolean): BufferSpec | null => (given ? make.normal(c) : null);
const someShape: Shape = [5, 13, 17];
const denseShape: Shape = [65, 13, 1];

const bad = (shape: Shape): BufferSpec =>
  mapChannel(
    mapChannel(normal(shape), shape, 2, (x, i) => (i === 7 ? NaN : x)),
    shape,
    11,
    (x, i) => (i === 30 ? Infinity : x),
  );
const constant = (shape: Shape): BufferSpec =>
  mapChannel(
    mapChannel(normal(shape), shape, 3, () => 0.1),
    shape,
    12,
    () => -123456.78,
  );
const spread = (shape: Shape): BufferSpec => floats(normal(shape).data!.map((x, i) => x * 10 ** ((i % 5) - 2)));

const trainCases: KernelCase<"batchNormTrain">[] = [
  ...shapes.map((shape) => train(shape, normal(shape, 0.5, 2))),
  ...(["none", "weight", "bias"] as const).map((affine) =>
    train(someShape, normal(someShape), { affine }, `, affine: ${affine}`),
  ),
  train(denseShape, normal(denseShape), { running: false, affine: "none" }, ", bare"),
  train([9, 65, 130], normal([9, 65, 130]), { running: false }, ", no running values"),
  train(someShape, normal(someShape), { counter: 1 }, ", cumulative, first batch"),
  train(denseShape, normal(denseShape), { counter: 7 }, ", cumulative, batch 7"),
  train(someShape, normal(someShape), { unbiased: 0, momentum: 1 }, ", biased, momentum 1"),
  train(someShape, normal(someShape), { eps: 0 }, ", eps 0"),
  train([1, 5, 1], normal([1, 5, 1]), { running: false }, ", one value"),
  train([1, 5, 1], normal([1, 5, 1]), { unbiased: 0 }, ", one value, biased"),
  train([1, 5, 1], normal([1, 5, 1]), { guard: 1, rejected: true }, ", one value, guarded: its unbiased variance is refused"),
  ...([someShape, denseShape] as const).flatMap((shape) => [
    train(shape, constant(shape), {}, " with constant channels"),
    train(shape, constant(shape), { eps: 0 }, " with constant channels, eps 0"),
    train(shape, bad(shape), { guard: 1, rejected: true }, " with NaN and Infinity, guarded"),
    train(shape, bad(shape), { guard: 1 }, " with NaN and Infinity, guarded, not counted"),
    train(shape, normal(shape), { guard: 1, rejected: true }, ", guarded, nothing to reject"),
    train(shape, bad(shape), {}, " with NaN and Infinity, not guarded"),
    train(shape, spread(shape), {}, " over five orders of magnitude"),
    ...(["both", "none", "weight", "bias"] as const).map((affine) =>
      train(shape, normal(shape), { affine, relu: 1 }, `, relu, affine: ${affine}`),
    ),
    train(shape, constant(shape), { relu: 1 }, " with constant channels, relu"),
    train(shape, bad(shape), { relu: 1 }, " with NaN and Infinity, relu"),
  ]),
  ...(
    [
      [8, 5, 1030],
      [3000, 5, 1],
      [3, 2, 17000],
    ] as const
  ).flatMap((shape) => [
    train(shape, normal(shape, 1000), { tolerance: 1e-5 }, " at offset 1000"),
    train(shape, normal(shape, 1e6), { tolerance: 1e-5 }, " at offset 1e6"),
    train(shape, normal(shape, -1e6, 30), { tolerance: 1e-5 }, " at offset -1e6"),
    train(shape, normal(shape, 1e6), { tolerance: 1e-5, relu: 1 }, " at offset 1e6, relu"),
  ]),
];

/** What batchNormTrain would have left in `stats`, as a 32-bit backend stores it. */
function statsOf(x: BufferSpec, [n, c, s]: Shape, eps: number): BufferSpec {
  const stats = new Float64Array(3 * c);
  for (let k = 0; k < c; k++) {
    const values = Float64Array.from({ length: n * s }, (_, i) => x.data![(Math.floor(i / s) * c + k) * s + (i % s)]!);
    const mean = values.reduce((a, b) => a + b, 0) / (n * s);
    const variance = values.reduce((a, b) => a + (b - mean) ** 2, 0) / (n * s);
    stats[k] = Math.fround(mean);
    stats[c + k] = mean - Math.fround(mean);
    stats[2 * c + k] = variance === 0 && eps === 0 ? 0 : 1 / Math.sqrt(variance + eps);
  }
  return floats(stats);
}

interface BackwardOptions {
  weight?: boolean;
  bias?: boolean;
  meanLow?: boolean;
  dx?: boolean;
  dweight?: boolean;
  dbias?: boolean;
  eps?: number;
  detached?: 0 | 1;
  relu?: 0 | 1;
}

/** What both backward kernels share. dweight and dbias are sums of n·s terms that mostly cancel: hence a tolerance of 1e-5. */
function gradients(shape: Shape, options: BackwardOptions) {
  const { weight = true, bias = true, dx = true, dweight = true, dbias = true } = options;
  const c = shape[1];
  return {
    dy: normal(shape),
    weight: scales(c, weight),
    bias: shifts(c, bias),
    dx: dx ? output(size(shape)) : null,
    dweight: dweight ? output(c) : null,
    dbias: dbias ? output(c) : null,
  };
}

function backward(shape: Shape, x: BufferSpec, options: BackwardOptions = {}, what = ""): KernelCase<"batchNormBackward"> {
  const [n, c, s] = shape;
  const { detached = 0, relu = 0 } = options;
  return {
    title: `${name(shape)}${what} ${JSON.stringify(options)}`,
    buffers: { x, stats: statsOf(x, shape, options.eps ?? 1e-5), ...gradients(shape, options) },
    scalars: { n, c, s, detached, relu },
    tolerance: 1e-5,
  };
}

interface EvalOptions {
  what?: string;
  affine?: boolean;
  meanLow?: boolean;
  relu?: 0 | 1;
}

/** Mean and variance as evaluation takes them; the low part is up to half a unit in the last place of the mean. */
function givenMoments(c: number, offset: number, meanLow: boolean) {
  return {
    mean: make.normal(c, offset),
    meanLow: meanLow ? make.uniform(c, -0.03, 0.03) : null,
    variance: make.uniform(c, 0.5, 2),
  };
}

function evaluate(shape: Shape, x: BufferSpec, offset = 0, options: EvalOptions = {}): KernelCase<"batchNormEval"> {
  const [n, c, s] = shape;
  const { affine = true, meanLow = false, relu = 0 } = options;
  return {
    title: `${name(shape)} at offset ${offset} ${JSON.stringify(options)}`,
    buffers: {
      x,
      weight: scales(c, affine),
      bias: shifts(c, affine),
      ...givenMoments(c, offset, meanLow),
      y: output(size(shape)),
    },
    scalars: { n, c, s, eps: 1e-5, relu },
  };
}

function evaluateBackward(shape: Shape, options: BackwardOptions = {}, offset = 0): KernelCase<"batchNormEvalBackward"> {
  const [n, c, s] = shape;
  const { eps = 1e-5, meanLow = false, relu = 0 } = options;
  return {
    title: `${name(shape)} at offset ${offset} ${JSON.stringify(options)}`,
    buffers: { x: normal(shape, offset), ...givenMoments(c, offset, meanLow), ...gradients(shape, options) },
    scalars: { n, c, s, eps, relu },
    tolerance: 1e-5,
  };
}

/** Which gradients are asked for; at least one. */
const asked: BackwardOptions[] = [
  { weight: false },
  { dweight: false, dbias: false },
  { dx: false },
  { dx: false, dbias: false },
  { dx: false, dweight: false },
  { weight: false, dweight: false },
  { dbias: false },
];
/** With relu after the normalization: γ and β each there or not, and what is asked for. */
const withRelu: BackwardOptions[] = [
  { relu: 1 },
  { relu: 1, weight: false },
  { relu: 1, bias: false },
  { relu: 1, weight: false, bias: false },
  { relu: 1, dx: false },
  { relu: 1, dweight: false, dbias: false },
];
const detached: BackwardOptions[] = [
  { detached: 1 },
  { detached: 1, weight: false },
  { detached: 1, relu: 1 },
  { detached: 1, relu: 1, bias: false },
  { detached: 1, dweight: false, dbias: false },
  { detached: 1, relu: 1, dweight: false, dbias: false },
  { detached: 1, dx: false },
];
const ragged: Shape[] = [someShape, denseShape, [9, 65, 130], [3, 2, 1030]];

export const batchNormCases: CaseTable<"batchNormTrain" | "batchNormBackward" | "batchNormEval" | "batchNormEvalBackward"> = {
  batchNormTrain: trainCases,
  batchNormBackward: [
    ...shapes.map((shape) => backward(shape, normal(shape, 0.5, 2))),
    ...asked.flatMap((options) => [
      backward(someShape, normal(someShape), options),
      backward(denseShape, normal(denseShape), options),
    ]),
    ...([someShape, denseShape] as const).flatMap((shape) => [
      backward(shape, constant(shape), {}, " with constant channels"),
      backward(shape, constant(shape), { eps: 0 }, " with constant channels"),
      backward(shape, constant(shape), { relu: 1 }, " with constant channels"),
      backward(shape, constant(shape), { detached: 1, eps: 0 }, " with constant channels"),
    ]),
    ...ragged.flatMap((shape) => [...withRelu, ...detached].map((options) => backward(shape, normal(shape), options))),
    ...(
      [
        [8, 5, 1030],
        [3000, 5, 1],
      ] as const
    ).flatMap((shape) => [
      backward(shape, normal(shape, 1000), {}, " at offset 1000"),
      backward(shape, normal(shape, 1e6), {}, " at offset 1e6"),
      backward(shape, normal(shape, 1e6), { relu: 1 }, " at offset 1e6"),
      backward(shape, normal(shape, 1e6), { detached: 1, relu: 1 }, " at offset 1e6"),
    ]),
  ],
  batchNormEval: [
    ...[...shapes, [0, 3, 5], [1, 1, 1]].map((shape) => evaluate(shape as Shape, normal(shape as Shape))),
    evaluate(someShape, normal(someShape), 0, { affine: false }),
    ...ragged.flatMap((shape) => [
      evaluate(shape, normal(shape), 0, { relu: 1 }),
      evaluate(shape, normal(shape), 0, { relu: 1, affine: false }),
      evaluate(shape, normal(shape), 0, { meanLow: true }),
      evaluate(shape, normal(shape, 1e6), 1e6, { meanLow: true }),
      evaluate(shape, normal(shape, 1e6), 1e6, { meanLow: true, relu: 1 }),
    ]),
    evaluate(someShape, normal(someShape, 1e6), 1e6),
    evaluate(denseShape, normal(denseShape, 1e6), 1e6),
    ...([0, 1] as const).map((relu) =>
      evaluate(denseShape, withValues(normal(denseShape), [20, NaN], [100, Infinity]), 0, { relu, what: "NaN, Infinity" }),
    ),
  ],
  batchNormEvalBackward: [
    ...[...shapes, [1, 1, 1] as const].map((shape) => evaluateBackward(shape)),
    ...asked.flatMap((options) => [evaluateBackward(someShape, options), evaluateBackward(denseShape, options)]),
    ...ragged.flatMap((shape) => [
      ...withRelu.map((options) => evaluateBackward(shape, options)),
      evaluateBackward(shape, { meanLow: true }),
      evaluateBackward(shape, { meanLow: true, relu: 1 }),
      evaluateBackward(shape, { meanLow: true, relu: 1 }, 1e6),
    ]),
    evaluateBackward(someShape, {}, 1e6),
    evaluateBackward(denseShape, {}, 1e6),
  ],
};
