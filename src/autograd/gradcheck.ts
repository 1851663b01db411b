import { BackendError, GradientError } from "../core/errors.js";
import { Random } from "../core/random.js";
import { formatShape, sizeOf } from "../core/shape.js";
import { withBackend } from "../engine/current.js";
import { tidy } from "../tensor/scope.js";
import { Tensor } from "../tensor/tensor.js";
import { grad } from "./backward.js";

export interface GradcheckOptions {
  /** Step of the central differences (default 1e-6). */
  eps?: number;
  /** Largest error |a − n| / max(1, |a|, |n|) of a gradient a, with n the difference quotient (default 1e-6). */
  tolerance?: number;
  /** Whether the backward pass that is checked is recorded, as for second derivatives (default false). */
  createGraph?: boolean;
  /** Seed of the random directions (default 0). */
  seed?: number;
  /** Who speaks in errors (default "gradcheck"). */
  who?: string;
}

/** Where the gradient is farthest from the difference quotient. */
export interface GradcheckReport {
  /** |a − n| / max(1, |a|, |n|) */
  largestError: number;
  /** Which input, and which of its elements. */
  input: number;
  index: number;
  gradient: number;
  difference: number;
  /** Number of gradients that were compared. */
  compared: number;
}

/** Outputs up to this size are also checked element by element: the whole Jacobian. */
const JACOBIAN = 64;

/** Values of y in float64, at the inputs as they are. */
function evaluate(fn: (...inputs: Tensor[]) => Tensor, inputs: readonly Tensor[]): Float64Array {
  return tidy(() => Float64Array.from(fn(...inputs).data()));
}

/** A tensor of given values on the backend of `beside`. */
function make(beside: Tensor, shape: readonly number[], values: ArrayLike<number>): Tensor {
  const t = Tensor.empty(beside.backend, shape);
  t.backend.write(t.storage, values);
  return t;
}

/** Directions dy in which outputs are projected: random ones, then the axes if there are few. */
function directions(size: number, seed: number): Float64Array[] {
  const random = new Random(seed);
  const list = [Float64Array.from({ length: size }, () => random.normal())];
  if (size > 1 && size <= JACOBIAN) {
    for (let k = 0; k < size; k++) list.push(Float64Array.from({ length: size }, (_, i) => (i === k ? 1 : 0)));
  }
  return list;
}

/** For each direction, the gradient towards each of `xs`; zeros where y does not depend on it. */
function gradients(y: Tensor, xs: readonly Tensor[], dys: readonly Float64Array[], createGraph: boolean): Float64Array[][] {
  return dys.map((values) =>
    tidy(() => {
      if (!y.requiresGrad) return xs.map((x) => new Float64Array(x.size));
      const found = grad(y, xs, { dy: make(y, y.shape, values), retainGraph: true, createGraph });
      return found.map((g, i) => (g === null ? new Float64Array(xs[i]!.size) : Float64Array.from(g.data())));
    }),
  );
}

function dot(a: Float64Array, b: Float64Array): number {
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += a[i]! * b[i]!;
  return sum;
}

function checkInputs(who: string, inputs: readonly Tensor[]): Tensor[] {
  for (const t of inputs) {
    if (t.backend.name !== "reference") {
      throw new BackendError(
        `${who}: expected tensors of the float64 reference backend, got one of "${t.backend.name}" ${formatShape(t.shape)}: ` +
          'call init({ backend: "reference" }) before they are made.',
      );
    }
  }
  const checked = inputs.filter((t) => t.requiresGrad);
  if (checked.length === 0) throw new GradientError(`${who}: expected at least one input that requires grad, got none.`);
  return checked;
}

/** y at x[index] ± eps, as the difference quotient of every output. `x` has its values back afterwards. */
function quotients(run: () => Float64Array, x: Tensor, index: number, eps: number): Float64Array {
  const values = x.data();
  const moved = (to: number) => {
    x.backend.write(
      x.storage,
      Float64Array.from(values, (v, i) => (i === index ? to : v)),
    );
    return run();
  };
  try {
    const at = values[index]!;
    const [above, below] = [moved(at + eps), moved(at - eps)];
    const width = at + eps - (at - eps);
    return above.map((v, i) => (v - below[i]!) / width);
  } finally {
    x.backend.write(x.storage, values);
  }
}

/**
 * Compares gradients with central differences, in float64: for every input that requires grad, along a random direction of the
 * outputs, and for up to 64 outputs the whole Jacobian.
 *
 * @param fn a function of the inputs that gives the same for the same values; away from kinks
 * @param inputs tensors of the reference backend; their values are moved by `eps` meanwhile and restored
 * @throws GradientError naming input, index and both numbers if an error is above `tolerance` (or not a number)
 * @throws BackendError for tensors of a float32 backend, whose rounding would hide errors
 */
export function gradcheck(
  fn: (...inputs: Tensor[]) => Tensor,
  inputs: readonly Tensor[],
  options: GradcheckOptions = {},
): GradcheckReport {
  const { eps = 1e-6, tolerance = 1e-6, createGraph = false, seed = 0, who = "gradcheck" } = options;
  const checked = checkInputs(who, inputs);
  return withBackend(checked[0]!.backend, () =>
    tidy(() => {
      const y = fn(...inputs);
      const dys = directions(y.size, seed);
      const found = gradients(y, checked, dys, createGraph);
      const report: GradcheckReport = { largestError: -1, input: 0, index: 0, gradient: 0, difference: 0, compared: 0 };
      checked.forEach((x, k) => {
        const input = inputs.indexOf(x);
        for (let index = 0; index < x.size; index++) {
          const quotient = quotients(() => evaluate(fn, inputs), x, index, eps);
          dys.forEach((dy, d) => {
            const place = { input, index, gradient: found[d]![k]![index]!, difference: dot(dy, quotient) };
            compare(who, report, place, x, tolerance);
          });
        }
      });
      report.largestError = Math.max(0, report.largestError);
      return report;
    }),
  );
}

type Place = Pick<GradcheckReport, "input" | "index" | "gradient" | "difference">;

function compare(who: string, report: GradcheckReport, place: Place, x: Tensor, tolerance: number): void {
  const { gradient: a, difference: n } = place;
  const error = Math.abs(a - n) / Math.max(1, Math.abs(a), Math.abs(n));
  if (!(error <= tolerance)) {
    throw new GradientError(
      `${who}: the gradient of input ${place.input} ${formatShape(x.shape)} at index ${place.index} is ${a}, ` +
        `the difference quotient ${n}: the error ${error} is above ${tolerance}.`,
    );
  }
  if (error > report.largestError) Object.assign(report, place, { largestError: error });
  report.compared++;
}

/**
 * Checks second derivatives: `gradcheck` of the gradients of `fn`, as functions of the inputs and of dy.
 *
 * @throws GradientError as `gradcheck`, and for ops that have no second derivative
 */
export function gradgradcheck(
  fn: (...inputs: Tensor[]) => Tensor,
  inputs: readonly Tensor[],
  options: GradcheckOptions = {},
): GradcheckReport {
  const { seed = 0, who = "gradgradcheck" } = options;
  const checked = checkInputs(who, inputs);
  const backend = checked[0]!.backend;
  return withBackend(backend, () =>
    tidy(() => {
      const random = new Random(seed + 1);
      const normals = (shape: readonly number[]) =>
        make(
          checked[0]!,
          shape,
          Float64Array.from({ length: sizeOf(shape) }, () => random.normal()),
        );
      const dy = normals(tidy(() => fn(...inputs).shape));
      dy.requiresGrad = true;
      const directions = checked.map((x) => normals(x.shape));
      const projected = (...all: Tensor[]) => {
        const y = fn(...all.slice(0, -1));
        const found = y.requiresGrad ? grad(y, checked, { dy: all[all.length - 1]!, createGraph: true }) : [];
        // Starts from 0 · dy, so that there is a result where no gradient depends on anything.
        return found.reduce((sum: Tensor, g, i) => (g === null ? sum : sum.add(g.mul(directions[i]!).sum())), dy.mul(0).sum());
      };
      return gradcheck(projected, [...inputs, dy], { ...options, who });
    }),
  );
}
