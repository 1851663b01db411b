import { defineOp } from "../autograd/op.js";
import { ShapeError } from "../core/errors.js";
import { formatShape, sizeOf } from "../core/shape.js";
import { tidy } from "../tensor/scope.js";
import { installMethods, type Tensor } from "../tensor/tensor.js";
import { checkFloat, like, storageOf } from "./operand.js";
import { sumChannels } from "./sum-channels.js";

export interface MatmulOptions {
  /** Takes a as [K, M] (default false). */
  transA?: boolean;
  /** Takes b as [N, K] (default false). */
  transB?: boolean;
}

interface Sizes {
  m: number;
  n: number;
  k: number;
  batch: number;
}

function sizesOf(who: string, a: Tensor, b: Tensor, { transA = false, transB = false }: MatmulOptions): Sizes {
  checkFloat(who, a, b);
  const describe = () => `got ${formatShape(a.shape)}${transA ? "ᵀ" : ""} and ${formatShape(b.shape)}${transB ? "ᵀ" : ""}`;
  if (![2, 3].includes(a.rank) || ![2, 3].includes(b.rank)) {
    throw new ShapeError(`${who}: expected matrices [M, K] and [K, N], with or without a batch axis in front, ${describe()}.`);
  }
  const [a0, a1] = a.shape.slice(-2) as [number, number];
  const [b0, b1] = b.shape.slice(-2) as [number, number];
  const [m, k] = transA ? [a1, a0] : [a0, a1];
  const [k2, n] = transB ? [b1, b0] : [b0, b1];
  if (k !== k2) throw new ShapeError(`${who}: expected matrices [M, K] and [K, N], ${describe()}: ${k} and ${k2} differ.`);
  const batch = a.rank === 3 ? a.shape[0]! : b.rank === 3 ? b.shape[0]! : 1;
  if (a.rank === 3 && b.rank === 3 && b.shape[0] !== batch) throw new ShapeError(`${who}: batch sizes differ, ${describe()}.`);
  return { m, n, k, batch };
}

function run(a: Tensor, b: Tensor, bias: Tensor | null, options: MatmulOptions, sizes: Sizes): Tensor {
  const { m, n, k, batch } = sizes;
  const y = like(a, a.rank === 3 || b.rank === 3 ? [batch, m, n] : [m, n]);
  if (y.size === 0) return y;
  a.backend.call("matmul", {
    a: a.storage,
    b: b.storage,
    bias: storageOf(bias),
    y: y.storage,
    batch,
    m,
    n,
    k,
    transA: options.transA ? 1 : 0,
    transB: options.transB ? 1 : 0,
    aBatch: a.rank === 3 ? m * k : 0,
    bBatch: b.rank === 3 ? k * n : 0,
  });
  return y;
}

const matmulOp = defineOp<MatmulOptions>("matmul", {
  keepInputs: [0, 1],
  forward: ([a, b], options) => run(a!, b!, null, options, sizesOf("matmul", a!, b!, options)),
  gradient:
    ({ transA = false, transB = false }) =>
    (saved, dy) => {
      const a = () => saved.input(0);
      const b = () => saved.input(1);
      const da = () => (transA ? matmul(b(), dy, { transA: transB, transB: true }) : matmul(dy, b(), { transB: !transB }));
      const db = () => (transB ? matmul(dy, a(), { transA: true, transB: transA }) : matmul(a(), dy, { transA: !transA }));
      return [da, db].map((make, i) => (saved.needs[i] ? sumBatch(make(), saved.shapes[i]!.length) : null));
    },
});

/** A matrix that served every batch collects the gradients of all. */
function sumBatch(t: Tensor, rank: number): Tensor {
  return t.rank > rank ? t.sum(0) : t;
}

/** Matrix product [M, K] · [K, N] → [M, N]; either may have a batch axis in front. */
export function matmul(a: Tensor, b: Tensor, options: MatmulOptions = {}): Tensor {
  return matmulOp([a, b], options);
}

const linearOp = defineOp("linear", {
  keepInputs: [0, 1],
  forward: ([x, weight, bias]) => {
    const options = { transB: true };
    return run(x!, weight!, bias ?? null, options, sizesOf("linear", x!, weight!, options));
  },
  gradient: () => (saved, dy) => [
    saved.needs[0] ? matmul(dy, saved.input(1)) : null,
    saved.needs[1] ? matmul(dy, saved.input(0), { transA: true }) : null,
    saved.needs[2] ? sumChannels(dy) : null,
  ],
});

/**
 * y = x · Wᵀ + b.
 *
 * @param x [..., in]
 * @param weight [out, in]
 * @param bias [out] or null
 * @returns [..., out]
 */
export function linear(x: Tensor, weight: Tensor, bias: Tensor | null = null): Tensor {
  checkFloat("linear", x, weight, bias);
  const [out, width] = weight.shape;
  if (weight.rank !== 2) throw new ShapeError(`linear: expected weight [out, in], got ${formatShape(weight.shape)}.`);
  if (x.rank < 1 || x.shape[x.rank - 1] !== width) {
    throw new ShapeError(
      `linear: expected input [..., ${width}], got ${formatShape(x.shape)}: the weight is [${out}, ${width}].`,
    );
  }
  if (bias && (bias.rank !== 1 || bias.shape[0] !== out)) {
    throw new ShapeError(`linear: expected bias [${out}], got ${formatShape(bias.shape)}.`);
  }
  if (x.rank === 2) return linearOp(bias ? [x, weight, bias] : [x, weight]);
  const lead = x.shape.slice(0, -1);
  return tidy(() => {
    const rows = x.reshape([sizeOf(lead), width!]);
    return linearOp(bias ? [rows, weight, bias] : [rows, weight]).reshape([...lead, out!]);
  });
}

installMethods({
  matmul(other) {
    return matmul(this, other);
  },
});
