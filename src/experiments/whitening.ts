// Pixels made ready for training: as they are, standardized one by one, or whitened together.
import { noGrad } from "../autograd/mode.js";
import type { ImageSet } from "../data/dataset.js";
import { DataLoader } from "../data/loader.js";
import { allIndices } from "../data/split.js";
import { Module } from "../nn/module.js";
import { linear, matmul } from "../ops/matmul.js";
import { tensor, zeros } from "../tensor/create.js";
import { tidy } from "../tensor/scope.js";
import type { Tensor } from "../tensor/tensor.js";

export const PREPARATIONS = ["raw", "standardized", "whitened"] as const;
export type Preparation = (typeof PREPARATIONS)[number];

/** ε of standardization and whitening, as a part of the mean eigenvalue, which is the mean variance of a pixel. */
export const EPSILON = 1e-2;
/** Newton-Schulz steps: an eigenvalue of 1e-4 of the norm needs 12 to come near 1, and few more to arrive. */
const ITERATIONS = 17;
const CHUNK = 1000;

/** x → (x − mean)·matrix, with a symmetric matrix [d, d]; what `covariance` becomes by it. */
export interface Whitening {
  size: number;
  mean: Float32Array;
  covariance: Float32Array;
  epsilon: number;
  /** 1 / √(variance + ε) of each pixel. */
  scale: Float32Array;
  /** (covariance + ε)^(−1/2). */
  matrix: Float32Array;
}

const known = new WeakMap<ImageSet, Map<number, Whitening>>();

/** Statistics of the first `count` images, pixels in [0, 1], and what whitens them; computed once for a set and a count. */
export function whiteningOf(set: ImageSet, count: number): Whitening {
  const counts = known.get(set) ?? new Map<number, Whitening>();
  known.set(set, counts);
  let whitening = counts.get(count);
  if (whitening === undefined) {
    whitening = tidy(() => noGrad(() => computeWhitening(set, count)));
    counts.set(count, whitening);
  }
  return whitening;
}

function computeWhitening(set: ImageSet, count: number): Whitening {
  const size = set.shape.reduce((product, n) => product * n, 1);
  const mean = meanOf(set, count, size);
  const centre = tensor(mean);
  const sum = zeros([size, size]);
  const loader = new DataLoader(set, { batchSize: CHUNK, flatten: true, indices: allIndices(count) });
  const covariance = [...loader.epoch(0)].reduce((total, batch) => {
    const part = tidy(() => {
      const x = loader.tensors(batch).inputs.sub(centre);
      return total.add(matmul(x, x, { transA: true }));
    });
    total.dispose();
    return part;
  }, sum);
  const normal = covariance.mul(1 / count);
  const values = Float32Array.from(normal.data());
  const variances = Array.from({ length: size }, (_, i) => values[i * size + i]!);
  const epsilon = (EPSILON * variances.reduce((total, v) => total + v, 0)) / size;
  const matrix = inverseRoot(normal.add(identity(size).mul(epsilon)), size);
  const scale = Float32Array.from(variances, (v) => 1 / Math.sqrt(v + epsilon));
  return { size, mean, covariance: values, epsilon, scale, matrix: Float32Array.from(matrix.data()) };
}

function meanOf({ images }: ImageSet, count: number, size: number): Float32Array {
  const sums = new Float64Array(size);
  for (let i = 0; i < count * size; i++) sums[i % size]! += images[i]!;
  return Float32Array.from(sums, (sum) => sum / (255 * count));
}

function identity(size: number): Tensor {
  return tensor(
    Float32Array.from({ length: size * size }, (_, i) => (i % (size + 1) === 0 ? 1 : 0)),
    [size, size],
  );
}

/**
 * The inverse square root of a symmetric positive definite matrix by the coupled Newton-Schulz iteration: matrix products only.
 *
 * @see Higham 2008, "Functions of Matrices", section 6.7
 */
function inverseRoot(m: Tensor, size: number): Tensor {
  const norm = Math.sqrt(Array.from(m.data()).reduce((sum, x) => sum + x * x, 0));
  const one = identity(size);
  let [y, z] = [m.mul(1 / norm), one];
  for (let i = 0; i < ITERATIONS; i++) {
    const t = one.mul(1.5).sub(matmul(z, y).mul(0.5));
    [y, z] = [matmul(y, t), matmul(t, z)];
  }
  return z.mul(1 / Math.sqrt(norm));
}

/** A fixed first layer that prepares pixels; it has nothing to train. */
export class Prepare extends Module {
  private readonly matrix: Tensor | null;
  private readonly shift: Tensor | null;

  constructor(
    readonly preparation: Preparation,
    { size, mean, scale, matrix }: Whitening,
  ) {
    super();
    const shift = mean.map((x) => -x);
    this.matrix =
      preparation === "whitened" ? tensor(matrix, [size, size]) : preparation === "standardized" ? tensor(scale) : null;
    this.shift = preparation === "raw" ? null : tensor(shift);
  }

  forward(x: Tensor): Tensor {
    if (this.matrix === null || this.shift === null) return x;
    const centred = x.add(this.shift);
    return this.preparation === "whitened" ? linear(centred, this.matrix) : centred.mul(this.matrix);
  }
}

/**
 * (λ_max + ε) / (0 + ε) of the covariance of prepared pixels, where ε is EPSILON of its own mean eigenvalue: the smallest
 * eigenvalue is 0, since some pixels never change, and without ε the number would be infinite.
 */
export function conditionNumber(preparation: Preparation, whitening: Whitening, iterations: number): number {
  const { size } = whitening;
  const c = preparedCovariance(preparation, whitening);
  const trace = Array.from({ length: size }, (_, i) => c[i * (size + 1)]!).reduce((sum, v) => sum + v, 0);
  return largestEigenvalue(c, size, iterations) / ((EPSILON * trace) / size) + 1;
}

/** The largest entry of W·(covariance + ε)·W − 1 in magnitude: how far the whitening is from one. */
export function residualOf({ size, covariance, epsilon, matrix }: Whitening): number {
  return tidy(() => {
    const w = tensor(matrix, [size, size]);
    const one = identity(size);
    const shifted = tensor(covariance, [size, size]).add(one.mul(epsilon));
    const rest = matmul(matmul(w, shifted), w).sub(one).data();
    return Array.from(rest).reduce((worst, x) => Math.max(worst, Math.abs(x)), 0);
  });
}

function preparedCovariance(preparation: Preparation, { size, covariance, scale, matrix }: Whitening): Float32Array {
  if (preparation === "raw") return covariance;
  if (preparation === "standardized") {
    return covariance.map((x, i) => x * scale[i % size]! * scale[Math.floor(i / size)]!);
  }
  return tidy(() => {
    const [c, w] = [tensor(covariance, [size, size]), tensor(matrix, [size, size])];
    return Float32Array.from(matmul(matmul(w, c), w).data());
  });
}

/** By power iteration, as Rayleigh's quotient. */
function largestEigenvalue(c: Float32Array, size: number, iterations: number): number {
  // No eigenvector is likely to be orthogonal to this one.
  let v = Float64Array.from({ length: size }, (_, i) => 1 + Math.sin(i + 1));
  let eigenvalue = 0;
  for (let k = 0; k < iterations; k++) {
    const length = Math.hypot(...v);
    const unit = v.map((x) => x / length);
    v = new Float64Array(size);
    eigenvalue = 0;
    for (let i = 0; i < size; i++) {
      for (let j = 0; j < size; j++) v[i]! += c[i * size + j]! * unit[j]!;
      eigenvalue += v[i]! * unit[i]!;
    }
  }
  return eigenvalue;
}
