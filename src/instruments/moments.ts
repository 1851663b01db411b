import { noGrad } from "../autograd/mode.js";
import { cat } from "../ops/index.js";
import { tidy } from "../tensor/scope.js";
import type { Tensor } from "../tensor/tensor.js";
import { normOf } from "./vectors.js";

/** Numbers that describe how values are distributed. */
export interface Moments {
  /** Number of values. */
  size: number;
  /** Euclidean norm. */
  norm: number;
  /** Square root of the mean square: norm / √size. */
  rms: number;
  mean: number;
  /** Square root of the mean squared distance to the mean (over size, not size − 1). */
  std: number;
  /** Mean of ((x − mean) / std)³: 0 if symmetric; NaN where all values are the same. */
  skewness: number;
  /** Mean of ((x − mean) / std)⁴: 3 for normal values; NaN where all values are the same. */
  kurtosis: number;
}

/** A standard deviation below this part of the size of the values is rounding. */
const SPREAD = 1e-13;

/** Moments of all values of `xs` together. Values are brought to size 1 first, so that tiny gradients do not underflow. */
export function momentsOf(xs: readonly Tensor[]): Moments {
  return noGrad(() =>
    tidy(() => {
      const values = xs.length === 1 ? xs[0]!.detach() : cat(xs.map((x) => x.detach().reshape([x.size])));
      const { size } = values;
      const norm = normOf([values]);
      const rms = norm / Math.sqrt(size);
      const unknown = { skewness: Number.NaN, kurtosis: Number.NaN };
      // 0 of zeros, else NaN.
      if (!(rms > 0 && rms < Infinity)) return { size, norm, rms, mean: 0 * rms, std: 0 * rms, ...unknown };
      const scaled = values.mul(1 / rms);
      const approximate = scaled.sum().item() / size;
      const shifted = scaled.sub(approximate);
      // The second time takes what rounding has left of the mean.
      const rest = shifted.sum().item() / size;
      const centred = shifted.sub(rest);
      const mean = (approximate + rest) * rms;
      const spread = normOf([centred]) / Math.sqrt(size);
      if (spread < SPREAD) return { size, norm, rms, mean, std: spread * rms, ...unknown };
      const unit = centred.mul(1 / spread);
      const squares = unit.square();
      const skewness = squares.mul(unit).sum().item() / size;
      const kurtosis = normOf([squares]) ** 2 / size;
      return { size, norm, rms, mean, std: spread * rms, skewness, kurtosis };
    }),
  );
}
