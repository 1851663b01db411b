/**
 * The signature of every kernel: the one list from which the argument records of the WebAssembly build, the types of
 * `Backend.call` and the test that runs each kernel on both backends are made.
 *
 * A parameter is "in" (read), "out" (written whole), "inout" (updated in place), with "?" where it may be null;
 * "int" (a 32-bit integer, also used for flags 0 and 1), "float" (64 bits) or "dims" (six integers, padded in front).
 * Lists of any length: "ins", "outs", "inouts" (pieces of memory, no two that are written the same) and "ints".
 * The order of the parameters is the layout of the record. Meaning: `engine/reference/`.
 */
// biome-ignore format: a table, a kernel to a line or a few
export const kernels = {
  // Memory. Elements of four bytes (float32 or int32) unless said otherwise.
  fill: { y: "out", n: "int", value: "float" },
  fillInt: { y: "out", n: "int", value: "int" },
  fillCell: { y: "out", value: "float" },
  copyCell: { x: "in", y: "out" },
  copy: { x: "in", y: "out", n: "int" },
  stridedCopy: { x: "in", y: "inout", shape: "dims", xStrides: "dims", yStrides: "dims", xOffset: "int", yOffset: "int" },
  gatherRows: { x: "in", index: "in", y: "out", n: "int", width: "int" },
  gatherBytes: { x: "in", index: "in", y: "out", n: "int", width: "int", scale: "float", shift: "float" },
  oneHot: { index: "in", y: "out", n: "int", classes: "int" },
  addToCell: { cell: "inout", amount: "float" },
  addToInt: { cell: "inout", amount: "int", condition: "in?" },

  // Element by element; `op` is an index into the lists below.
  unary: { x: "in", y: "out", n: "int", op: "int", alpha: "float" },
  unaryBackward: { u: "in", dy: "in", dx: "out", n: "int", op: "int", alpha: "float" },
  binary: { a: "in", b: "in", y: "out", op: "int", shape: "dims", aStrides: "dims", bStrides: "dims" },

  // Reductions over the middle axis of [outer, count, inner].
  reduce: { x: "in", y: "out", op: "int", outer: "int", count: "int", inner: "int" },
  argmax: { x: "in", y: "out", outer: "int", count: "int", inner: "int" },
  sumChannels: { x: "in", y: "out", n: "int", c: "int", s: "int" },

  // Products and convolutions.
  matmul: {
    a: "in", b: "in", bias: "in?", y: "out",
    batch: "int", m: "int", n: "int", k: "int", transA: "int", transB: "int", aBatch: "int", bBatch: "int",
  },
  conv2d: {
    x: "in", weight: "in", bias: "in?", y: "out",
    n: "int", ci: "int", h: "int", w: "int", co: "int", kh: "int", kw: "int", sh: "int", sw: "int",
    ph: "int", pw: "int", dh: "int", dw: "int", groups: "int", oh: "int", ow: "int",
  },
  conv2dBackwardInput: {
    dy: "in", weight: "in", dx: "out",
    n: "int", ci: "int", h: "int", w: "int", co: "int", kh: "int", kw: "int", sh: "int", sw: "int",
    ph: "int", pw: "int", dh: "int", dw: "int", groups: "int", oh: "int", ow: "int",
  },
  conv2dBackwardWeight: {
    x: "in", dy: "in", dweight: "out",
    n: "int", ci: "int", h: "int", w: "int", co: "int", kh: "int", kw: "int", sh: "int", sw: "int",
    ph: "int", pw: "int", dh: "int", dw: "int", groups: "int", oh: "int", ow: "int",
  },

  // Windows along the depth of volumes x [n, c, d, s] as channels of images y [n, od, c, kd, s].
  depthWindows: {
    x: "in", y: "out",
    n: "int", c: "int", d: "int", s: "int", od: "int", kd: "int", stride: "int", padding: "int", dilation: "int",
  },
  depthWindowsBackward: {
    dy: "in", dx: "out",
    n: "int", c: "int", d: "int", s: "int", od: "int", kd: "int", stride: "int", padding: "int", dilation: "int",
  },

  // Pooling over planes [planes, h, w].
  maxPool2d: {
    x: "in", y: "out", index: "out",
    planes: "int", h: "int", w: "int", kh: "int", kw: "int", sh: "int", sw: "int", ph: "int", pw: "int", oh: "int", ow: "int",
  },
  maxPool2dBackward: { dy: "in", index: "in", dx: "out", planes: "int", size: "int", outSize: "int" },
  maxPool2dGather: { x: "in", index: "in", y: "out", planes: "int", size: "int", outSize: "int" },
  avgPool2d: {
    x: "in", y: "out",
    planes: "int", h: "int", w: "int", kh: "int", kw: "int", sh: "int", sw: "int", ph: "int", pw: "int", oh: "int", ow: "int",
    countPad: "int",
  },
  avgPool2dBackward: {
    dy: "in", dx: "out",
    planes: "int", h: "int", w: "int", kh: "int", kw: "int", sh: "int", sw: "int", ph: "int", pw: "int", oh: "int", ow: "int",
    countPad: "int",
  },
  adaptiveAvgPool2d: { x: "in", y: "out", planes: "int", h: "int", w: "int", oh: "int", ow: "int" },
  adaptiveAvgPool2dBackward: { dy: "in", dx: "out", planes: "int", h: "int", w: "int", oh: "int", ow: "int" },

  // Batch normalization over [n, c, s]; stats is [3, c]: mean (high part), mean (low part), 1 / sqrt(var + eps).
  batchNormTrain: {
    x: "in", weight: "in?", bias: "in?", runningMean: "inout?", runningVar: "inout?", counter: "in?", rejected: "inout?",
    y: "out", stats: "out", n: "int", c: "int", s: "int", eps: "float", momentum: "float", cumulative: "int", unbiased: "int",
    guard: "int", relu: "int",
  },
  batchNormBackward: {
    x: "in", dy: "in", weight: "in?", bias: "in?", stats: "in", dx: "out?", dweight: "out?", dbias: "out?",
    n: "int", c: "int", s: "int", detached: "int", relu: "int",
  },
  batchNormEval: {
    x: "in", weight: "in?", bias: "in?", mean: "in", meanLow: "in?", variance: "in", y: "out",
    n: "int", c: "int", s: "int", eps: "float", relu: "int",
  },
  batchNormEvalBackward: {
    x: "in", dy: "in", weight: "in?", bias: "in?", mean: "in", meanLow: "in?", variance: "in",
    dx: "out?", dweight: "out?", dbias: "out?", n: "int", c: "int", s: "int", eps: "float", relu: "int",
  },
  // Moments are [3, c]: mean (high part), mean (low part), biased variance. parts is [k, 3, c], counts int32[k].
  channelMoments: { x: "in", moments: "out", n: "int", c: "int", s: "int" },
  maskedMoments: { x: "in", mask: "in", moments: "out", count: "out", n: "int", c: "int", s: "int" },
  mergeMoments: { parts: "in", counts: "in", moments: "out", k: "int", c: "int" },
  updateRunning: {
    moments: "in", count: "in", runningMean: "inout", runningVar: "inout", counter: "in?", rejected: "inout?", c: "int",
    momentum: "float", cumulative: "int", unbiased: "int", guard: "int",
  },

  // Normalization of each row of [rows, c, s] over its own values; weight and bias are [groups, c], row r takes part r % groups.
  // stats is [3, rows]: mean (high part), mean (low part), 1 / sqrt(var + eps); rms takes the mean as 0.
  rowNorm: {
    x: "in", weight: "in?", bias: "in?", y: "out", stats: "out", rows: "int", c: "int", s: "int", groups: "int", eps: "float",
    rms: "int",
  },
  rowNormBackward: {
    x: "in", dy: "in", weight: "in?", stats: "in", dx: "out?", dweight: "out?", dbias: "out?",
    rows: "int", c: "int", s: "int", groups: "int", rms: "int",
  },

  // Softmax and cross-entropy over the middle axis of [outer, count, inner].
  softmax: { x: "in", y: "out", outer: "int", count: "int", inner: "int", log: "int" },
  softmaxBackward: { y: "in", dy: "in", dx: "out", outer: "int", count: "int", inner: "int", log: "int" },
  crossEntropy: {
    x: "in", target: "in", weight: "in?", loss: "out", rowWeight: "out", lse: "out",
    outer: "int", count: "int", inner: "int", smoothing: "float", ignoreIndex: "int",
  },
  crossEntropyReduce: { loss: "in", rowWeight: "in", total: "out", totalWeight: "out", n: "int", mean: "int" },
  crossEntropyBackward: {
    x: "in", target: "in", weight: "in?", lse: "in", totalWeight: "in?", dloss: "in", dx: "out",
    outer: "int", count: "int", inner: "int", smoothing: "float", ignoreIndex: "int",
  },

  // Optimizers. lr and step are cells; step counts from 0 and is advanced once per update by addToCell.
  // Lists have an entry per parameter, of sizes[i] elements; all are updated in one call.
  sgd: {
    params: "inouts", grads: "ins", velocities: "inouts?", sizes: "ints", lr: "in", step: "in",
    momentum: "float", dampening: "float", weightDecay: "float", nesterov: "int",
  },
  adam: {
    params: "inouts", grads: "ins", m: "inouts", v: "inouts", sizes: "ints", lr: "in", step: "in",
    beta1: "float", beta2: "float", eps: "float", weightDecay: "float", decoupled: "int",
  },
  rmsprop: {
    params: "inouts", grads: "ins", squares: "inouts", velocities: "inouts?", sizes: "ints", lr: "in",
    alpha: "float", eps: "float", weightDecay: "float", momentum: "float",
  },
  addSquares: { xs: "ins", sizes: "ints", total: "inout" },
  clipScale: { xs: "inouts", sizes: "ints", total: "in", maxNorm: "float" },
  fillAll: { ys: "outs", sizes: "ints", value: "float" },

  // Random numbers. state is int32[4]: the seed (low, high) and the number of draws so far (low, high).
  randomUniform: { state: "in", y: "out", n: "int", low: "float", high: "float" },
  randomNormal: { state: "in", y: "out", n: "int", mean: "float", std: "float" },
  dropoutMask: { state: "in", y: "out", n: "int", p: "float" },
  advanceRandom: { state: "inout" },

  // Distributions of the finite values of each unit of x [groups, units, inner]. percents, y and moments are float64.
  finiteMoments: { x: "in", moments: "out", groups: "int", units: "int", inner: "int" },
  percentiles: { x: "in", percents: "in", y: "out", groups: "int", units: "int", inner: "int", count: "int" },
  histogram: {
    x: "in", counts: "out", groups: "int", units: "int", inner: "int", bins: "int", low: "float", high: "float",
  },
} as const;

/** Operations of the kernel `unary`. `alpha` is the scalar, the slope or the exponent where one is needed. */
// biome-ignore format: a list to be read in its order
export const unaryOps = [
  "neg", "abs", "sign", "exp", "log", "sqrt", "square", "reciprocal", "addScalar", "mulScalar", "powScalar",
  "relu", "leakyRelu", "sigmoid", "tanh", "gelu", "silu", "erf", "gaussian",
] as const;

/** Operations of `unaryBackward`: dx from dy and u: the output for sigmoid and tanh, either for relu, the input for the rest. */
export const unaryBackwardOps = ["relu", "leakyRelu", "sigmoid", "tanh", "gelu", "silu"] as const;

/** Operations of `binary`. Comparisons give 1 or 0; keepWhere is a where b is not 0, else 0. */
// biome-ignore format: a list to be read in its order
export const binaryOps = [
  "add", "sub", "mul", "div", "maximum", "minimum", "pow", "greater", "greaterEqual", "equal", "keepWhere",
] as const;

/** Operations of `reduce`. */
export const reduceOps = ["sum", "mean", "max", "min"] as const;

export type KernelName = keyof typeof kernels;
/** Kinds of parameters that are no memory. */
export type ScalarKind = "int" | "float" | "dims" | "ints";
type MemoryKind = "in" | "out" | "inout" | "ins" | "outs" | "inouts";
export type ParameterKind = ScalarKind | MemoryKind | `${MemoryKind}?`;

type ValueOf<Kind, Buffer> = Kind extends "int" | "float"
  ? number
  : Kind extends "dims" | "ints"
    ? readonly number[]
    : Kind extends `${infer Required}?`
      ? ValueOf<Required, Buffer> | null
      : Kind extends "ins" | "outs" | "inouts"
        ? readonly Buffer[]
        : Buffer;

export const isScalarKind = (kind: ParameterKind): kind is ScalarKind =>
  kind === "int" || kind === "float" || kind === "dims" || kind === "ints";

/** Whether the argument is a list of pieces of memory. */
export const isListKind = (kind: ParameterKind): boolean => /^(in|out|inout)s\??$/.test(kind);

/** Whether the kernel writes the memory. */
export const isWrittenKind = (kind: ParameterKind): boolean => kind.includes("out");

/** The arguments of kernel `K`, with `Buffer` in place of each tensor's memory. */
export type KernelArgs<K extends KernelName, Buffer> = {
  -readonly [P in keyof (typeof kernels)[K]]: ValueOf<(typeof kernels)[K][P], Buffer>;
};
