import type { Backend } from "../engine/backend.js";
import { cat } from "../ops/index.js";
import { Cell } from "../optim/cell.js";
import { full } from "../tensor/create.js";
import { tidy } from "../tensor/scope.js";
import { Tensor } from "../tensor/tensor.js";

/** Copies the values of `x` into `y`, which has the same size and backend. */
export function copyValues(x: Tensor, y: Tensor): void {
  if (x.size > 0) x.backend.call("copy", { x: x.storage, y: y.storage, n: x.size });
}

/** The same values in memory of their own, which autograd does not follow. */
export function copyOf(x: Tensor): Tensor {
  const copy = Tensor.empty(x.backend, x.shape, x.dtype);
  copyValues(x, copy);
  return copy;
}

/** The Euclidean norm of all values of `xs` together, with squares and sum in float64. */
export function normOf(xs: readonly Tensor[]): number {
  const present = xs.filter((x) => x.size > 0);
  const [first] = present;
  if (first === undefined) return 0;
  const total = new Cell(first.backend, 0);
  first.backend.call("addSquares", {
    xs: present.map((x) => x.storage),
    sizes: present.map((x) => x.size),
    total: total.storage,
  });
  const squares = total.read();
  total.dispose();
  return Math.sqrt(squares);
}

/** Σ a·b over two tensors of the same shape: products as the backend rounds them, sum in float64. */
export function dot(a: Tensor, b: Tensor): number {
  return tidy(() => a.detach().mul(b.detach()).sum().item());
}

/** The cosine of the angle between two directions; NaN where one of them is 0. */
export function cosineOf(a: Tensor, b: Tensor): number {
  const cosine = dot(a, b) / normOf([a]) / normOf([b]);
  // Rounding may carry it a little over the edge.
  return Math.min(1, Math.max(-1, cosine));
}

/** Places of tensors in one long vector, in order. */
export class Packing {
  readonly size: number;

  constructor(private readonly tensors: readonly Tensor[]) {
    this.size = tensors.reduce((sum, t) => sum + t.size, 0);
  }

  private get backend(): Backend {
    return this.tensors[0]!.backend;
  }

  /** All values, [size]; `parts` are as the tensors, and null stands for zeros. A part that is recorded stays so. */
  pack(parts: readonly (Tensor | null)[]): Tensor {
    return cat(parts.map((part, i) => part?.reshape([part.size]) ?? full([this.tensors[i]!.size], 0)));
  }

  /** The tensors' own values, copied. */
  read(): Tensor {
    return this.pack(this.tensors.map((t) => t.detach()));
  }

  /** Writes `values`, [size], into the tensors in place. */
  write(values: Tensor): void {
    tidy(() => this.unpack(values).forEach((part, i) => void copyValues(part, this.tensors[i]!)));
  }

  /** The parts of `values`, [size], in the tensors' shapes. */
  unpack(values: Tensor): Tensor[] {
    let start = 0;
    return this.tensors.map((t) => {
      const part = values.slice(0, start, start + t.size).reshape(t.shape);
      start += t.size;
      return part;
    });
  }
}
