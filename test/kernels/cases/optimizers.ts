import { type BufferSpec, type CaseTable, cell, floats, type KernelCase, Maker, sizes } from "./case.js";

const make = new Maker(10);

interface SgdOptions {
  step?: number;
  momentum?: number;
  dampening?: number;
  weightDecay?: number;
  nesterov?: 0 | 1;
}

function sgd(n: number, options: SgdOptions = {}): KernelCase<"sgd"> {
  const { step = 0, momentum = 0, dampening = 0, weightDecay = 0, nesterov = 0 } = options;
  return {
    title: `n = ${n} ${JSON.stringify(options)}`,
    buffers: {
      param: make.normal(n),
      grad: make.normal(n),
      // The first step must not look at the velocity.
      velocity: momentum === 0 ? null : step === 0 ? floats(new Array(n).fill(NaN)) : make.normal(n),
      lr: cell(0.1),
      step: cell(step),
    },
    scalars: { n, momentum, dampening, weightDecay, nesterov },
  };
}

interface AdamOptions {
  step?: number;
  weightDecay?: number;
  decoupled?: 0 | 1;
  /** Gradients of 1e-9, which eps outweighs. */
  tiny?: boolean;
}

function adam(n: number, options: AdamOptions = {}): KernelCase<"adam"> {
  const { step = 0, weightDecay = 0, decoupled = 0, tiny = false } = options;
  const zeros = floats(new Float32Array(n));
  return {
    title: `n = ${n} ${JSON.stringify(options)}`,
    buffers: {
      param: make.normal(n),
      grad: make.normal(n, 0, tiny ? 1e-9 : 1),
      m: step === 0 ? zeros : make.normal(n, 0, 0.3),
      v: step === 0 ? zeros : make.uniform(n, 0.001, 1),
      lr: cell(0.01),
      step: cell(step),
    },
    scalars: { n, beta1: 0.9, beta2: 0.999, eps: 1e-8, weightDecay, decoupled },
  };
}

function rmsprop(n: number, momentum = 0, weightDecay = 0): KernelCase<"rmsprop"> {
  return {
    title: `n = ${n}, momentum ${momentum}, weight decay ${weightDecay}`,
    buffers: {
      param: make.normal(n),
      grad: make.normal(n),
      square: make.uniform(n, 0, 1),
      velocity: momentum === 0 ? null : make.normal(n),
      lr: cell(0.01),
    },
    scalars: { n, alpha: 0.99, eps: 1e-8, weightDecay, momentum },
  };
}

const clipScale = (n: number, total: number, maxNorm: number): KernelCase<"clipScale"> => ({
  title: `n = ${n}, norm ${Math.sqrt(total)} to ${maxNorm}`,
  buffers: { x: make.normal(n), total: cell(total) },
  scalars: { n, maxNorm },
});

const addSquares = (x: BufferSpec, what = ""): KernelCase<"addSquares"> => ({
  title: `n = ${x.length}${what}`,
  buffers: { x, total: cell(0.25) },
  scalars: { n: x.length },
});

export const optimizerCases: CaseTable<"sgd" | "adam" | "rmsprop" | "addSquares" | "clipScale"> = {
  sgd: [
    ...sizes.map((n) => sgd(n)),
    ...[0, 1, 5].flatMap((step) => [
      sgd(65, { step, weightDecay: 0.01 }),
      sgd(65, { step, momentum: 0.9 }),
      sgd(8195, { step, momentum: 0.9, weightDecay: 5e-4, nesterov: 1 }),
      sgd(13, { step, momentum: 0.9, dampening: 0.5, weightDecay: 0.1 }),
    ]),
  ],
  adam: [
    ...sizes.map((n) => adam(n)),
    ...[1, 10, 5000].flatMap((step) => [
      adam(65, { step }),
      adam(8195, { step, weightDecay: 0.01, decoupled: 1 }),
      adam(13, { step, weightDecay: 0.1 }),
    ]),
    adam(17, { tiny: true }),
  ],
  rmsprop: [...sizes.map((n) => rmsprop(n)), rmsprop(8195, 0.9), rmsprop(65, 0.9, 0.01), rmsprop(13, 0, 0.1)],
  addSquares: [
    ...sizes.map((n) => addSquares(make.normal(n))),
    addSquares(make.normal(65, 0, 1e20), ", whose squares overflow 32 bits"),
  ],
  clipScale: [...sizes.map((n) => clipScale(n, 100, 1)), clipScale(65, 4, 2.5), clipScale(65, 0, 1), clipScale(8195, 1e-4, 1e-3)],
};
