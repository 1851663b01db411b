import { DTypeError, OptionError } from "../core/errors.js";
import { formatShape, type Shape } from "../core/shape.js";
import type { Storage } from "../engine/backend.js";
import { withBackend } from "../engine/current.js";
import { full } from "../tensor/create.js";
import type { Operand } from "../tensor/methods.js";
import { Tensor } from "../tensor/tensor.js";

/** Two operands as tensors on one backend; a number becomes a tensor of no axes. */
export function pairOf(who: string, a: Operand, b: Operand): [Tensor, Tensor] {
  if (typeof a === "number" && typeof b === "number")
    throw new OptionError(`${who}: expected at least one tensor, got two numbers.`);
  const backend = (typeof a === "number" ? (b as Tensor) : a).backend;
  const toTensor = (x: Operand) => (typeof x === "number" ? withBackend(backend, () => full([], x)) : x);
  return [toTensor(a), toTensor(b)];
}

/** Refuses what is not float32. */
export function checkFloat(who: string, ...tensors: readonly (Tensor | null | undefined)[]): void {
  for (const t of tensors) {
    if (t && t.dtype !== "float32") {
      throw new DTypeError(`${who}: expected float32, got ${t.dtype} of shape ${formatShape(t.shape)}.`);
    }
  }
}

/** A new tensor on the backend of `x`, with undefined contents. */
export function like(x: Tensor, shape: Shape = x.shape, dtype: "float32" | "int32" = "float32"): Tensor {
  return Tensor.empty(x.backend, shape, dtype);
}

/** The memory of an optional tensor. */
export function storageOf(t: Tensor | null | undefined): Storage | null {
  return t ? t.storage : null;
}
