import type { Saved } from "../autograd/node.js";
import { defineOp } from "../autograd/op.js";
import type { Tensor } from "../tensor/tensor.js";
import { like, storageOf } from "./operand.js";

/** What all ops of batch normalization know: the input is [n, c, s]. */
export interface Common {
  n: number;
  c: number;
  s: number;
  eps: number;
  relu: boolean;
  /** Which of γ and β are among the inputs. */
  has: readonly [weight: boolean, bias: boolean];
}

/** γ and β: the optional inputs after x, in order; positions differ with what is given. */
export function pick<T>(inputs: readonly (T | undefined)[], has: readonly [boolean, boolean]): [T | null, T | null] {
  const weight = has[0] ? inputs[1]! : null;
  const bias = has[1] ? inputs[has[0] ? 2 : 1]! : null;
  return [weight, bias];
}

/** Gradients in the order of the inputs. */
export function order(has: readonly [boolean, boolean], gradients: Gradients): (Tensor | null)[] {
  const { dx, dweight, dbias } = gradients;
  return [dx, ...(has[0] ? [dweight] : []), ...(has[1] ? [dbias] : [])];
}

export type Gradients = Readonly<Record<"dx" | "dweight" | "dbias", Tensor | null>>;

/** x, γ and β as the forward pass had them. */
export function savedInputs(saved: Saved, has: readonly [boolean, boolean]): [Tensor, Tensor | null, Tensor | null] {
  return [saved.input(0), has[0] ? saved.input(1) : null, has[1] ? saved.input(has[0] ? 2 : 1) : null];
}

/** Which gradients are asked for: of x, γ and β. */
export type Wanted = readonly [x: boolean, weight: boolean, bias: boolean];

/** What the inputs of an op need. */
export function wantedBy({ needs }: Saved, has: readonly [boolean, boolean]): Wanted {
  const [weight, bias] = pick(needs, has);
  return [needs[0]!, weight ?? false, bias ?? false];
}

/** What the backward kernels of all modes take, and the gradients that they write. */
export function backwardCall({ has, n, c, s, relu }: Omit<Common, "eps">, wanted: Wanted, saved: Saved, dy: Tensor) {
  const [x, weight, bias] = savedInputs(saved, has);
  const dx = wanted[0] ? like(x) : null;
  const dweight = wanted[1] ? like(x, [c]) : null;
  const dbias = wanted[2] ? like(x, [c]) : null;
  const call = {
    x: x.storage,
    dy: dy.storage,
    weight: storageOf(weight),
    bias: storageOf(bias),
    dx: storageOf(dx),
    dweight: storageOf(dweight),
    dbias: storageOf(dbias),
    n,
    c,
    s,
    relu: relu ? 1 : 0,
  };
  return { backend: x.backend, call, gradients: { dx, dweight, dbias } };
}

/** An empty batch: the gradients of γ and β are zeros. */
export const emptyOp = defineOp("batchNormEmpty", {
  forward: ([x]) => like(x!),
  gradient: () => (saved, dy) =>
    saved.shapes.map((shape, i) => {
      if (!saved.needs[i]) return null;
      const zero = like(dy, shape);
      if (zero.size > 0) zero.backend.call("fill", { y: zero.storage, n: zero.size, value: 0 });
      return zero;
    }),
});
