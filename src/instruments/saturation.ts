import { OptionError } from "../core/errors.js";
import type { Tensor } from "../tensor/tensor.js";
import { countedIn, type Histogram, together } from "./histogram.js";
import { checkValues } from "./units.js";

/** Parts of the finite values; NaN of none. */
export interface SaturatedShare {
  /** At either end. */
  share: number;
  /** At the lower end: near 0 of a sigmoid, near −1 of a tanh, at 0 of a ReLU. */
  low: number;
  /** At the upper end: near 1 of a sigmoid or tanh. */
  high: number;
}

export interface Saturation extends SaturatedShare {
  /** Each unit by itself, the entries of axis 1. */
  units: SaturatedShare[];
  /** Units with nothing but saturated values in this batch, by number: of a ReLU those that are never above 0. */
  dead: number[];
  /** Number of values that are not finite, which are left out. */
  nonFinite: number;
}

export interface SaturationOptions {
  /** What made the values. */
  activation: "sigmoid" | "tanh" | "relu";
  /**
   * Sigmoid and tanh: how near to an end of its range a value must come, below half the range (default 0.05). ReLU: values up to
   * this are saturated (default 0).
   */
  threshold?: number;
}

/**
 * Which part of the outputs of an activation is where its slope is near 0, so that no gradient comes through: at an end of a
 * sigmoid or tanh, or at 0 of a ReLU, where one half is as it should be and a dead unit is not.
 *
 * At the default threshold a sigmoid's slope is below 0.0475, a fifth of its largest, and a tanh's below 0.0975, a tenth. Cost:
 * one reading of the values.
 *
 * @param y the outputs of the activation, float32 [N, C, …]
 * @throws ShapeError if there is no value or no axis 1; OptionError; DTypeError; RecordingError in a recorded step
 * @example
 * saturation(hidden, { activation: "relu" }).dead; // [3, 17]
 * @see Glorot & Bengio 2010, "Understanding the difficulty of training deep feedforward neural networks"
 */
export function saturation(y: Tensor, { activation, threshold }: SaturationOptions): Saturation {
  checkValues("saturation", y, "channel");
  const counted = ends(activation, threshold);
  const raw = countedIn(y, "channel", 1, counted.low, counted.high);
  const units = raw.map(counted.shareOf);
  return {
    ...counted.shareOf(together(raw)),
    units,
    dead: units.flatMap(({ share }, unit) => (share === 1 ? [unit] : [])),
    nonFinite: raw.reduce((sum, { nonFinite }) => sum + nonFinite, 0),
  };
}

type Counted = Omit<Histogram, "edges">;

/** The range that is counted, and what its counts mean. */
interface Ends {
  readonly low: number;
  readonly high: number;
  readonly shareOf: (counted: Counted) => SaturatedShare;
}

const shares = (low: number, high: number, rest: number): SaturatedShare => {
  const count = low + high + rest;
  return { share: (low + high) / count, low: low / count, high: high / count };
};

function ends(activation: SaturationOptions["activation"], threshold: number | undefined): Ends {
  if (activation === "relu") {
    const most = threshold ?? 0;
    if (!Number.isFinite(most)) throw new OptionError(`saturation: expected a finite threshold, got ${most}.`);
    // The range includes its upper edge, so that values at the threshold are among the saturated ones.
    const low = -Number.MAX_VALUE / 4;
    return { low, high: most, shareOf: ({ counts, below, above }) => shares(below + counts[0]!, 0, above) };
  }
  if (activation !== "sigmoid" && activation !== "tanh") {
    throw new OptionError(`saturation: expected activation to be sigmoid, tanh or relu, got ${JSON.stringify(activation)}.`);
  }
  const [bottom, half] = activation === "sigmoid" ? [0, 0.5] : [-1, 1];
  const distance = threshold ?? 0.05;
  if (!(distance >= 0 && distance < half)) {
    throw new OptionError(`saturation: expected a threshold from 0 to below ${half} for ${activation}, got ${distance}.`);
  }
  const shareOf = ({ counts, below, above }: Counted) => shares(below, above, counts[0]!);
  return { low: bottom + distance, high: 1 - distance, shareOf };
}
