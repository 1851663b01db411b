import { type KernelArgs, type KernelName, unaryOps } from "../kernels.js";
import type { Plan, Work } from "./plan.js";
import { directWeightUnits, suitsDirect, suitsDirectInput } from "./schedule-direct.js";
import { suitsWinograd, winogradConvolution, winogradWeights } from "./schedule-winograd.js";

type Args<K extends KernelName> = KernelArgs<K, unknown>;
type Planners = { readonly [K in KernelName]: (a: Args<K>) => Plan };

/** Elements of work below which a second thread costs more than it saves. */
const GRAIN = 8192;
/** How many additions an exponential or its like costs, about. */
const FUNCTION_COST = 8;
const transcendental = { exp: 1, log: 1, powScalar: 1, sigmoid: 1, tanh: 1, gelu: 1, silu: 1, erf: 1, gaussian: 1 };
/** Length of the pieces in which `reduce` cuts a long axis; also in kernels/reduce.ts. */
const REDUCE_PART = 16384;

const NOTHING: Work = { units: 0, grain: 1 };
const single = (units: number, grain: number): Plan => ({ work: [{ units, grain }], scratch: 0 });
const elements = (n: number): Plan => single(n, GRAIN);
const serial = (): Plan => single(1, 1);
/** `units` that cost about `each` elements of work. */
const rows = (units: number, each: number): Plan => single(units, Math.max(1, Math.floor(GRAIN / Math.max(1, each))));
const sizeOf = (dims: readonly number[]): number => dims.reduce((a, b) => a * b, 1);

/** A long axis with few results is summed in parts, which the second phase joins in order. */
function reduce(a: Args<"reduce">): Plan {
  const results = a.outer * a.inner;
  const parts = Math.ceil(a.count / REDUCE_PART);
  if (results >= 64 || parts < 2) {
    return {
      work: [
        { units: 0, grain: 1 },
        { units: a.outer, grain: rows(a.outer, a.count * a.inner).work[0]!.grain },
      ],
      scratch: 0,
    };
  }
  return {
    work: [
      { units: a.outer * parts, grain: 1 },
      { units: a.outer, grain: a.outer },
    ],
    scratch: results * parts * 8,
  };
}

/** Columns are worked on four at a time; sixteen fill a cache line, which no two threads should share. */
function channels(a: { n: number; c: number; s: number }): Plan {
  return a.s === 1 ? single(a.c, 16 * Math.max(1, Math.floor(GRAIN / (16 * Math.max(1, a.n))))) : rows(a.c, a.n * a.s);
}

/** Tile of the matrix product; also in kernels/gemm.ts. */
const MR = 4;
const NR = 8;

function matmul(a: Args<"matmul">): Plan {
  const panels = Math.ceil(a.n / NR) * (a.bBatch === 0 ? 1 : a.batch);
  const strips = Math.ceil(a.m / MR) * a.batch;
  return {
    work: [
      { units: panels, grain: Math.max(1, Math.floor(GRAIN / (NR * Math.max(1, a.k)))) },
      { units: strips, grain: productGrain(MR * a.n * a.k) },
    ],
    scratch: panels * NR * a.k * 4,
  };
}

/** Units of a product that costs `each` multiplications per unit. */
function productGrain(each: number): number {
  return Math.max(1, Math.floor((GRAIN * 8) / Math.max(1, each)));
}

/**
 * Work whose kernel prepares something for all units of a thread. A share of more than 64 grains would be computed in pieces
 * (kernels/runtime.ts), and prepared for each of them.
 */
const inFewPieces = (units: number, grain: number): Work => ({ units, grain: Math.max(grain, Math.ceil(units / 64)) });

type Geometry = Omit<Args<"conv2d">, "x" | "weight" | "bias" | "y">;

/** Strips of packed weights, then panels of pixels; `from` and `to` are the channels that are summed over and computed. */
function convolution(a: Geometry, from: number, to: number, h: number, w: number, isDirect: boolean): Plan {
  if (suitsWinograd(a, h, w, 6)) return winogradConvolution(a, from, to, h, w);
  if (isDirect) {
    const work = inFewPieces(a.n * h, productGrain(w * to * a.kh * a.kw * from));
    return { work: [NOTHING, NOTHING, NOTHING, NOTHING, work], scratch: 0 };
  }
  const pixels = h * w;
  const strips = Math.ceil(to / a.groups / MR) * a.groups;
  const k = a.kh * a.kw * (from / a.groups);
  return {
    work: [
      { units: strips, grain: Math.max(1, Math.floor(GRAIN / (MR * Math.max(1, k)))) },
      { units: a.groups * Math.ceil((a.n * pixels) / NR), grain: productGrain((NR * k * to) / a.groups) },
    ],
    scratch: strips * MR * k * 4,
  };
}

function conv2dBackwardWeight(a: Args<"conv2dBackwardWeight">): Plan {
  if (suitsWinograd(a, a.oh, a.ow, 9)) return winogradWeights(a);
  const units = directWeightUnits(a);
  if (units > 0) return { work: [NOTHING, NOTHING, NOTHING, inFewPieces(units, 1)], scratch: 0 };
  return single(a.ci * a.kh * a.kw, 4);
}

/** Elements of an example that one unit of `rowNormBackward` reads; also in kernels/row-norm.ts. */
const ROW_TILE = 32768;

/** A unit is some neighbouring groups in a part of the rows; the second phase joins the parts' sums for the parameters. */
function rowNormBackward(a: Args<"rowNormBackward">): Plan {
  const each = Math.max(1, a.c * a.s);
  const width = Math.min(a.groups, Math.max(1, Math.floor(ROW_TILE / each)));
  const perGroup = a.c * a.s > 0 ? a.rows / a.groups : 0;
  const part = Math.max(Math.ceil(perGroup / 64), Math.ceil(GRAIN / (each * width)));
  const parts = Math.ceil(perGroup / part);
  const channels = a.dweight || a.dbias ? a.groups * a.c : 0;
  return {
    work: [
      ...rows(parts * Math.ceil(a.groups / width), Math.min(part, perGroup) * width * each).work,
      ...rows(channels, 2 * parts).work,
    ],
    scratch: parts * 2 * channels * 8,
  };
}

/** Elements of a unit where a call works on lists of arrays, each of which begins a unit; also in kernels/lists.ts. */
const LINE = 16;
const linesOf = (sizes: readonly number[]): number => sizes.reduce((sum, n) => sum + Math.ceil(n / LINE), 0);
const lists = ({ sizes }: { sizes: readonly number[] }): Plan => single(linesOf(sizes), GRAIN / LINE);

/** Lines whose squares are summed together; also in kernels/clip.ts. The second phase joins the sums. */
const SQUARES_PART = 512;

function addSquares({ sizes }: Args<"addSquares">): Plan {
  const parts = Math.ceil(linesOf(sizes) / SQUARES_PART);
  return {
    work: [
      { units: parts, grain: 1 },
      { units: parts, grain: parts },
    ],
    scratch: parts * 8,
  };
}

/** Values of a unit that `percentiles` sorts in a thread's workspace; also in kernels/distribution.ts. More take scratch memory. */
const IN_WORKSPACE = 64000;

function percentiles(a: Args<"percentiles">): Plan {
  const size = a.groups * a.inner;
  return { ...rows(a.units, FUNCTION_COST * size), scratch: size > IN_WORKSPACE ? a.units * size * 8 : 0 };
}

const planners: Planners = {
  fill: (a) => elements(a.n),
  fillInt: (a) => elements(a.n),
  fillCell: serial,
  copyCell: serial,
  copy: (a) => elements(a.n),
  stridedCopy: (a) => elements(sizeOf(a.shape)),
  gatherRows: (a) => rows(a.n, a.width),
  gatherBytes: (a) => rows(a.n, a.width),
  oneHot: (a) => rows(a.n, a.classes),
  addToCell: serial,
  addToInt: serial,
  unary: (a) => single(a.n, unaryOps[a.op]! in transcendental ? GRAIN / FUNCTION_COST : GRAIN),
  unaryBackward: (a) => elements(a.n),
  binary: (a) => elements(sizeOf(a.shape)),
  reduce,
  argmax: (a) => rows(a.outer, a.count * a.inner),
  sumChannels: channels,
  matmul,
  conv2d: (a) => convolution(a, a.ci, a.co, a.oh, a.ow, suitsDirect(a)),
  conv2dBackwardInput: (a) => convolution(a, a.co, a.ci, a.h, a.w, suitsDirectInput(a)),
  conv2dBackwardWeight,
  depthWindows: (a) => rows(a.n * a.od * a.c, a.kd * a.s),
  depthWindowsBackward: (a) => rows(a.n * a.c * a.d, a.kd * a.s),
  batchNormTrain: channels,
  batchNormBackward: channels,
  batchNormEval: channels,
  batchNormEvalBackward: channels,
  channelMoments: channels,
  maskedMoments: (a) => rows(a.c, a.n * a.s),
  mergeMoments: (a) => rows(a.c, a.k),
  updateRunning: (a) => elements(a.c),
  maxPool2d: (a) => rows(a.planes, a.h * a.w),
  maxPool2dBackward: (a) => rows(a.planes, a.size),
  maxPool2dGather: (a) => rows(a.planes, a.outSize),
  avgPool2d: (a) => rows(a.planes, a.h * a.w),
  avgPool2dBackward: (a) => rows(a.planes, a.h * a.w),
  adaptiveAvgPool2d: (a) => rows(a.planes, a.h * a.w),
  adaptiveAvgPool2dBackward: (a) => rows(a.planes, a.h * a.w),
  rowNorm: (a) => rows(a.rows, a.c * a.s),
  rowNormBackward,
  softmax: (a) => rows(a.outer, FUNCTION_COST * a.count * a.inner),
  softmaxBackward: (a) => rows(a.outer, a.count * a.inner),
  crossEntropy: (a) => rows(a.outer, FUNCTION_COST * a.count * a.inner),
  crossEntropyReduce: serial,
  crossEntropyBackward: (a) => rows(a.outer, FUNCTION_COST * a.count * a.inner),
  sgd: lists,
  adam: lists,
  rmsprop: lists,
  addSquares,
  clipScale: lists,
  fillAll: lists,
  randomUniform: (a) => elements(a.n),
  randomNormal: (a) => elements(a.n),
  dropoutMask: (a) => elements(a.n),
  advanceRandom: serial,
  finiteMoments: (a) => rows(a.units, FUNCTION_COST * a.groups * a.inner),
  percentiles,
  histogram: (a) => rows(a.units, FUNCTION_COST * a.groups * a.inner),
};

/** The plan of a call. */
export function planOf<K extends KernelName>(kernel: K, args: Args<K>): Plan {
  return planners[kernel](args);
}
