import { Random } from "../../../src/core/random.js";
import { sizeOf } from "../../../src/core/shape.js";
import { tensor } from "../../../src/tensor/create.js";
import type { Tensor } from "../../../src/tensor/tensor.js";

/**
 * Values of an input. any: normal. positive: from 0.5 to 2. nonzero: ± 0.5 to 2, so away from a kink at 0.
 * apart: a shuffled grid with steps of 0.1, no value 0, so that no two are within reach of a difference quotient.
 */
export type Values = "any" | "positive" | "nonzero" | "apart";

export interface Input {
  readonly shape: readonly number[];
  readonly values: Values;
  readonly requiresGrad: boolean;
}

/** A call of an op, for the checks that run over all ops. */
export interface Sample {
  readonly title: string;
  readonly inputs: readonly Input[];
  /** Captured tensors must be made inside, so that they lie on the backend of the inputs. */
  readonly call: (...inputs: Tensor[]) => Tensor;
}

export type SampleTable = { readonly [op: string]: readonly Sample[] };

const input =
  (values: Values) =>
  (...shape: number[]): Input => ({ shape, values, requiresGrad: true });
export const any = input("any");
export const positive = input("positive");
export const nonzero = input("nonzero");
export const apart = input("apart");
export const constant = (i: Input): Input => ({ ...i, requiresGrad: false });

export function sample(title: string, inputs: readonly Input[], call: (...inputs: Tensor[]) => Tensor): Sample {
  return { title, inputs, call };
}

function valuesOf(values: Values, size: number, random: Random): Float64Array {
  if (values === "apart") {
    const order = random.permutation(size);
    return Float64Array.from(order, (rank) => (rank - size / 2) * 0.1 + 0.053);
  }
  return Float64Array.from({ length: size }, () => {
    if (values === "any") return random.normal();
    const size = 0.5 + 1.5 * random.uniform();
    return values === "nonzero" && random.uniform() < 0.5 ? -size : size;
  });
}

/** The inputs of a sample as tensors of the current backend: the same numbers every time. */
export function makeInputs(inputs: readonly Input[], seed = 1): Tensor[] {
  const random = new Random(seed);
  return inputs.map(({ shape, values, requiresGrad }) =>
    tensor(valuesOf(values, sizeOf(shape), random), shape, { requiresGrad }),
  );
}
