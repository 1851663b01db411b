import { grad } from "../autograd/backward.js";
import { withRecording } from "../autograd/mode.js";
import { OptionError, ShapeError } from "../core/errors.js";
import { seedWords } from "../core/random.js";
import { formatShape, sameShape } from "../core/shape.js";
import type { Module } from "../nn/module.js";
import { normal, tensor } from "../tensor/create.js";
import { withRandomState } from "../tensor/random.js";
import { tidy } from "../tensor/scope.js";
import type { Tensor } from "../tensor/tensor.js";
import { LossSurface, preserving } from "./measure.js";
import { type SymmetricEigen, symmetricEigen } from "./symmetric-eigen.js";
import { dot, normOf } from "./vectors.js";

/** The Hessian of a loss at one point, as a function of vectors. The gradient is computed once, and its graph kept. */
class Hessian {
  private readonly gradient: Tensor;

  /** @param surface made in the `tidy` that this lives in */
  constructor(private readonly surface: LossSurface) {
    const list = [...surface.parameters.values()];
    const recorded = () => surface.packing.pack(grad(surface.evaluate(), list, { createGraph: true }));
    this.gradient = tidy(() => withRecording(true, recorded));
  }

  /** H·v, both as one vector. */
  times(v: Tensor): Tensor {
    const { parameters, packing } = this.surface;
    return tidy(() => {
      const product = withRecording(true, () => this.gradient.mul(v).sum());
      // A loss that is linear in the parameters has a constant gradient.
      if (!product.requiresGrad) return v.mul(0);
      return packing.pack(grad(product, [...parameters.values()], { retainGraph: true }));
    });
  }
}

/**
 * The Hessian of the loss times a vector, by differentiating the gradient once more.
 *
 * Parameters, gradients, buffers, modes and random numbers are afterwards what they were, bit for bit.
 *
 * Cost: a forward pass, a backward pass that is recorded (fused kernels run in their composed form), and one through both; about
 * four times a training step, and its memory.
 *
 * @param loss computes the loss of one batch by the model, without calling `backward`
 * @param v a tensor for each parameter, by key; zeros for those that are left out
 * @returns a tensor for each parameter that requires grad, by key
 * @throws OptionError, ShapeError if `v` does not fit; GradientError if an op has no second derivative; RecordingError in a
 * recorded step
 * @see Pearlmutter 1994, "Fast exact multiplication by the Hessian"
 */
export function hessianVectorProduct(model: Module, loss: () => Tensor, v: ReadonlyMap<string, Tensor>): Map<string, Tensor> {
  return preserving("hessianVectorProduct", model, (state) => {
    const surface = new LossSurface("hessianVectorProduct", model, loss, state);
    checkVector(surface, v);
    const { parameters, packing } = surface;
    const vector = packing.pack([...parameters.keys()].map((key) => v.get(key)?.detach() ?? null));
    const products = packing.unpack(new Hessian(surface).times(vector));
    return new Map([...parameters.keys()].map((key, i) => [key, products[i]!]));
  });
}

function checkVector({ parameters }: LossSurface, v: ReadonlyMap<string, Tensor>): void {
  for (const [key, t] of v) {
    const p = parameters.get(key);
    if (p === undefined) {
      throw new OptionError(`hessianVectorProduct: expected keys of parameters that require grad, got ${JSON.stringify(key)}.`);
    }
    if (!sameShape(p.shape, t.shape)) {
      throw new ShapeError(
        `hessianVectorProduct: expected ${formatShape(p.shape)} for ${JSON.stringify(key)}, got ${formatShape(t.shape)}.`,
      );
    }
  }
}

/** Which eigenvalue of the Hessian: the largest in magnitude, whatever its sign, the largest, or the smallest (most negative). */
export type WhichEigenvalue = "magnitude" | "largest" | "smallest";

export interface CurvatureOptions {
  /** Default "magnitude". */
  which?: WhichEigenvalue;
  /** Most steps of the iteration, each one product with the Hessian (default 20). */
  iterations?: number;
  /** Stops when the residual is below this part of the eigenvalue (default 1e-3). */
  tolerance?: number;
  /** Of the vector that the iteration starts from (default 0). */
  seed?: number;
}

export interface Curvature {
  /** The eigenvalue, with its sign. */
  eigenvalue: number;
  /**
   * |H·u − λ·u| for the unit eigenvector u that was found, computed with H itself. Some eigenvalue of H is at most so far from λ.
   */
  residual: number;
  /** Steps that were taken. */
  iterations: number;
  /** Whether the residual is within the tolerance. */
  converged: boolean;
}

/**
 * The largest curvature of the loss at the parameters as they are: the eigenvalue of its Hessian that is largest in magnitude,
 * with its sign (or the largest or the smallest, see `which`), by Lanczos's iteration with full reorthogonalization.
 *
 * The residual bounds the distance to an eigenvalue of H. That it is the outermost is likely, not certain: a start that is
 * perpendicular to its vector would miss it. Gradient descent with a learning rate above 2 / λ leaves a minimum along this
 * direction. Parameters, gradients, buffers, modes and random numbers are afterwards what they were, bit for bit.
 *
 * Cost: a forward pass and a backward pass that is recorded, then about two backward passes for each step and two more for the
 * residual; memory for the graph of both, and for a copy of the parameters for each step.
 *
 * @param loss computes the loss of one batch by the model, without calling `backward`
 * @throws OptionError for options out of range; GradientError if an op has no second derivative; RecordingError in a recorded step
 * @example
 * largestCurvature(model, () => nn.crossEntropy(model.call(x), labels)).eigenvalue;
 * @see Golub & Van Loan 2013, "Matrix computations", sections 10.1 and 10.3; Ghorbani, Krishnan & Xiao 2019, arXiv:1901.10159
 */
export function largestCurvature(model: Module, loss: () => Tensor, options: CurvatureOptions = {}): Curvature {
  const { which = "magnitude", iterations = 20, tolerance = 1e-3, seed = 0 } = options;
  if (!Number.isSafeInteger(iterations) || iterations < 1) {
    throw new OptionError(`largestCurvature: expected iterations to be an integer of at least 1, got ${iterations}.`);
  }
  if (!(tolerance >= 0)) throw new OptionError(`largestCurvature: expected a tolerance of at least 0, got ${tolerance}.`);
  if (!(which in score)) {
    throw new OptionError(
      `largestCurvature: expected which to be ${Object.keys(score).join(", ")}, got ${JSON.stringify(which)}.`,
    );
  }
  const words = seedWords(seed);
  return preserving("largestCurvature", model, (state) => {
    const surface = new LossSurface("largestCurvature", model, loss, state);
    const hessian = new Hessian(surface);
    const start = withRandomState(tensor(Int32Array.of(...words, 0, 0)), () => normal([surface.packing.size]));
    const lanczos = new Lanczos((v) => hessian.times(v), start, which);
    while (lanczos.steps < iterations && !lanczos.isDone(tolerance)) lanczos.step();
    return lanczos.result(tolerance);
  });
}

const score: Readonly<Record<WhichEigenvalue, (value: number) => number>> = {
  magnitude: Math.abs,
  largest: (value) => value,
  smallest: (value) => -value,
};

/** Lanczos's iteration: H as a tridiagonal matrix in an orthonormal basis that products with H build up. */
class Lanczos {
  private readonly basis: Tensor[] = [];
  private readonly diagonal: number[] = [];
  private readonly beside: number[] = [];
  private next: Tensor;

  constructor(
    private readonly times: (v: Tensor) => Tensor,
    start: Tensor,
    private readonly which: WhichEigenvalue,
  ) {
    this.next = start.mul(1 / normOf([start]));
  }

  get steps(): number {
    return this.basis.length;
  }

  step(): void {
    const q = this.next;
    this.basis.push(q);
    const [rest, alpha] = tidy(() => {
      const product = this.times(q);
      const alpha = dot(q, product);
      const previous = this.basis.at(-2);
      const own = product.sub(q.mul(alpha));
      return [this.withoutBasis(previous ? own.sub(previous.mul(this.beside.at(-1)!)) : own), alpha];
    });
    const beta = normOf([rest]);
    this.diagonal.push(alpha);
    this.beside.push(beta);
    this.next = rest.mul(1 / beta);
    rest.dispose();
  }

  /** What of `v`, which would be perpendicular to the basis but for rounding, is so. */
  private withoutBasis(v: Tensor): Tensor {
    return this.basis.reduce((rest, q) => rest.sub(q.mul(dot(q, rest))), v);
  }

  /** The wanted eigenvalue of the tridiagonal matrix, and its vector there. */
  private best(): { value: number; vector: number[] } {
    const matrix = this.diagonal.map((_, i) =>
      this.diagonal.map((alpha, j) => (i === j ? alpha : Math.abs(i - j) === 1 ? this.beside[Math.min(i, j)]! : 0)),
    );
    const { values, vectors }: SymmetricEigen = symmetricEigen(matrix);
    const scores = values.map(score[this.which]);
    const k = scores.indexOf(Math.max(...scores));
    return { value: values[k] ?? Number.NaN, vector: vectors[k] ?? this.diagonal };
  }

  /** Whether the estimate of the residual is within the tolerance, or there is no direction left. */
  isDone(tolerance: number): boolean {
    if (this.steps === 0) return false;
    const beta = this.beside.at(-1)!;
    if (!(beta > 0 && beta < Infinity) || this.steps === this.next.size) return true;
    const { value, vector } = this.best();
    return beta * Math.abs(vector.at(-1)!) <= tolerance * Math.abs(value);
  }

  result(tolerance: number): Curvature {
    return tidy(() => {
      const { vector } = this.best();
      const sum = vector.map((s, i) => this.basis[i]!.mul(s)).reduce((total, part) => total.add(part));
      const u = sum.mul(1 / normOf([sum]));
      const product = this.times(u);
      const eigenvalue = dot(u, product);
      const residual = normOf([product.sub(u.mul(eigenvalue))]);
      return { eigenvalue, residual, iterations: this.steps, converged: residual <= tolerance * Math.abs(eigenvalue) };
    });
  }
}
