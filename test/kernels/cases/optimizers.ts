import { type CaseTable, cell, floats, type KernelCase, Maker, output, sizes as single } from "./case.js";

const make = new Maker(10);

/** Sizes of one to five arrays: empty ones at all places, ragged ones, several grains and parts, many short ones. */
const lists = [
  ...single.map((n) => [n]),
  [0, 0],
  [5, 0, 13],
  [0, 65, 8193, 3],
  [8192, 8191, 16, 0, 17],
  [40003, 1, 20000, 7],
  new Array<number>(300).fill(37),
];

const titleOf = (sizes: readonly number[]): string => (sizes.length > 5 ? `${sizes.length} of ${sizes[0]}` : sizes.join(", "));
const normals = (sizes: readonly number[], std = 1) => sizes.map((n) => make.normal(n, 0, std));
const uniforms = (sizes: readonly number[], low: number, high: number) => sizes.map((n) => make.uniform(n, low, high));
const constants = (sizes: readonly number[], value: number) => sizes.map((n) => floats(new Float32Array(n).fill(value)));

interface SgdOptions {
  step?: number;
  momentum?: number;
  dampening?: number;
  weightDecay?: number;
  nesterov?: 0 | 1;
}

function sgd(sizes: readonly number[], options: SgdOptions = {}): KernelCase<"sgd"> {
  const { step = 0, momentum = 0, dampening = 0, weightDecay = 0, nesterov = 0 } = options;
  return {
    title: `n = ${titleOf(sizes)} ${JSON.stringify(options)}`,
    buffers: {
      params: normals(sizes),
      grads: normals(sizes),
      // The first step must not look at the velocity.
      velocities: momentum === 0 ? null : step === 0 ? constants(sizes, NaN) : normals(sizes),
      lr: cell(0.1),
      step: cell(step),
    },
    scalars: { sizes, momentum, dampening, weightDecay, nesterov },
  };
}

interface AdamOptions {
  step?: number;
  weightDecay?: number;
  decoupled?: 0 | 1;
  /** Gradients of 1e-9, which eps outweighs. */
  tiny?: boolean;
}

function adam(sizes: readonly number[], options: AdamOptions = {}): KernelCase<"adam"> {
  const { step = 0, weightDecay = 0, decoupled = 0, tiny = false } = options;
  return {
    title: `n = ${titleOf(sizes)} ${JSON.stringify(options)}`,
    buffers: {
      params: normals(sizes),
      grads: normals(sizes, tiny ? 1e-9 : 1),
      m: step === 0 ? constants(sizes, 0) : normals(sizes, 0.3),
      v: step === 0 ? constants(sizes, 0) : uniforms(sizes, 0.001, 1),
      lr: cell(0.01),
      step: cell(step),
    },
    scalars: { sizes, beta1: 0.9, beta2: 0.999, eps: 1e-8, weightDecay, decoupled },
  };
}

function rmsprop(sizes: readonly number[], momentum = 0, weightDecay = 0): KernelCase<"rmsprop"> {
  return {
    title: `n = ${titleOf(sizes)}, momentum ${momentum}, weight decay ${weightDecay}`,
    buffers: {
      params: normals(sizes),
      grads: normals(sizes),
      squares: uniforms(sizes, 0, 1),
      velocities: momentum === 0 ? null : normals(sizes),
      lr: cell(0.01),
    },
    scalars: { sizes, alpha: 0.99, eps: 1e-8, weightDecay, momentum },
  };
}

const clipScale = (sizes: readonly number[], total: number, maxNorm: number): KernelCase<"clipScale"> => ({
  title: `n = ${titleOf(sizes)}, norm ${Math.sqrt(total)} to ${maxNorm}`,
  buffers: { xs: normals(sizes), total: cell(total) },
  scalars: { sizes, maxNorm },
});

const addSquares = (sizes: readonly number[], std = 1): KernelCase<"addSquares"> => ({
  title: `n = ${titleOf(sizes)}, values of about ${std}`,
  buffers: { xs: normals(sizes, std), total: cell(0.25) },
  scalars: { sizes },
});

const fillAll = (sizes: readonly number[], value: number): KernelCase<"fillAll"> => ({
  title: `n = ${titleOf(sizes)}, value ${value}`,
  buffers: { ys: sizes.map((n) => output(n)) },
  scalars: { sizes, value },
});

export const optimizerCases: CaseTable<"sgd" | "adam" | "rmsprop" | "addSquares" | "clipScale" | "fillAll"> = {
  sgd: [
    ...lists.map((sizes) => sgd(sizes)),
    ...lists.map((sizes) => sgd(sizes, { step: 1, momentum: 0.9 })),
    ...[0, 1, 5].flatMap((step) => [
      sgd([65], { step, weightDecay: 0.01 }),
      sgd([66], { step, momentum: 0.9 }),
      sgd([8195, 3], { step, momentum: 0.9, weightDecay: 5e-4, nesterov: 1 }),
      sgd([13], { step, momentum: 0.9, dampening: 0.5, weightDecay: 0.1 }),
    ]),
  ],
  adam: [
    ...lists.map((sizes) => adam(sizes)),
    ...[1, 10, 5000].flatMap((step) => [
      adam([65], { step }),
      adam([8195, 3], { step, weightDecay: 0.01, decoupled: 1 }),
      adam([13], { step, weightDecay: 0.1 }),
    ]),
    adam([17], { tiny: true }),
  ],
  rmsprop: [
    ...lists.map((sizes) => rmsprop(sizes)),
    ...lists.map((sizes) => rmsprop(sizes, 0.9)),
    rmsprop([65], 0.9, 0.01),
    rmsprop([13], 0, 0.1),
  ],
  // Squares of values of 1e20 overflow 32 bits.
  addSquares: [...lists.map((sizes) => addSquares(sizes)), addSquares([65, 8200], 1e20)],
  clipScale: [
    ...lists.map((sizes) => clipScale(sizes, 100, 1)),
    clipScale([65], 4, 2.5),
    clipScale([65], 0, 1),
    clipScale([8195], 1e-4, 1e-3),
  ],
  fillAll: [...lists.map((sizes) => fillAll(sizes, 0)), fillAll([5, 70], -2.5)],
};
