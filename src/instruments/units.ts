import { OptionError, ShapeError } from "../core/errors.js";
import { formatShape, sizeOf } from "../core/shape.js";
import type { DType, HostArray, Storage } from "../engine/backend.js";
import { checkFloat } from "../ops/operand.js";
import type { Tensor } from "../tensor/tensor.js";
import { refuseInRecording } from "./measure.js";

/**
 * What is looked at: all values together, or besides each unit, the entries of axis 1 of [N, C, …]: features of a dense layer,
 * channels of a convolution.
 */
export type Units = "pooled" | "channel";

/** A tensor as [groups, units, inner], as kernels on distributions take it. */
export interface UnitLayout {
  readonly groups: number;
  readonly units: number;
  readonly inner: number;
}

/** All values as one unit. */
export const pooledLayout = (x: Tensor): UnitLayout => ({ groups: 1, units: 1, inner: x.size });

/** The units of [N, C, …]. @throws ShapeError if `x` has no axis 1 */
export function unitLayout(who: string, x: Tensor): UnitLayout {
  if (x.rank < 2) {
    throw new ShapeError(`${who}: expected [N, C, …] to have the units on axis 1, got shape ${formatShape(x.shape)}.`);
  }
  return { groups: x.shape[0]!, units: x.shape[1]!, inner: sizeOf(x.shape.slice(2)) };
}

/** Checks what all instruments for distributions want of a tensor and of the option `units`. */
export function checkValues(who: string, x: Tensor, units: Units = "pooled"): void {
  refuseInRecording(who);
  checkFloat(who, x);
  if (units !== "pooled" && units !== "channel") {
    throw new OptionError(`${who}: expected units to be "pooled" or "channel", got ${JSON.stringify(units)}.`);
  }
  if (units === "channel") unitLayout(who, x);
  if (x.size === 0) throw new ShapeError(`${who}: expected at least one value, got shape ${formatShape(x.shape)}.`);
}

/** What a kernel leaves in memory that is taken for this call alone. */
export function resultOf(x: Tensor, dtype: DType, length: number, run: (y: Storage) => void): HostArray {
  const y = x.backend.alloc(dtype, length);
  try {
    run(y);
    return x.backend.read(y);
  } finally {
    x.backend.release(y);
  }
}
