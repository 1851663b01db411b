import { OptionError, ShapeError, TrainingError } from "../core/errors.js";
import { formatShape, sizeOf } from "../core/shape.js";
import type { Tensor } from "../tensor/tensor.js";
import { checkChannelParameters, checkRowNorm, rowNorm } from "./row-norm.js";

export interface GroupNormOptions {
  /** γ, [C] (default 1). */
  weight?: Tensor | null;
  /** β, [C] (default 0). */
  bias?: Tensor | null;
  /** Added to the variance under the root (default 1e-5). */
  eps?: number;
  /** Who speaks in errors (default "groupNorm"). */
  who?: string;
}

/**
 * Group normalization: y = γ · (x − μ) / √(σ² + ε) + β, with the mean μ and the biased variance σ² of each example over each
 * of `numGroups` groups of neighbouring channels and all further axes; γ and β of each channel.
 *
 * A constant group gives exactly β. The same in training and evaluation. As in PyTorch a group of one value, whose y is β
 * whatever it is, is refused if the batch is a single example.
 *
 * @param x [N, C] or [N, C, …]
 * @returns the same shape
 * @throws ShapeError if the groups do not divide C or a parameter is not [C]; OptionError if `numGroups` or eps cannot be used;
 * TrainingError for one example with one value in a group
 * @see Wu & He 2018, "Group Normalization", https://arxiv.org/abs/1803.08494, equations 1 to 7
 */
export function groupNorm(x: Tensor, numGroups: number, options: GroupNormOptions = {}): Tensor {
  const { weight, bias, eps = 1e-5, who = "groupNorm" } = options;
  const parameters = { weight, bias, eps, who };
  checkRowNorm(x, parameters);
  const got = formatShape(x.shape);
  if (x.rank < 2) {
    throw new ShapeError(
      `${who}: Expected at least 2 dimensions for input tensor but received ${x.rank}: expected [N, C] or [N, C, …], got ${got}.`,
    );
  }
  if (!Number.isInteger(numGroups) || numGroups < 1) {
    throw new OptionError(`${who}: expected numGroups to be an integer of at least 1, got ${numGroups}.`);
  }
  const [n, channels] = x.shape as [number, number];
  if (channels === 0 || channels % numGroups !== 0) {
    throw new ShapeError(
      `${who}: Expected number of channels in input to be divisible by num_groups, but got input of shape ${got} ` +
        `and num_groups=${numGroups}.`,
    );
  }
  checkChannelParameters(x, parameters);
  const layout = { rows: n * numGroups, c: channels / numGroups, s: sizeOf(x.shape.slice(2)), groups: numGroups };
  if (n * layout.c * layout.s === 1) {
    throw new TrainingError(
      `${who}: Expected more than 1 value per channel when training, got input size ${got}. ` +
        `Its groups have one value each: use fewer than ${numGroups} groups.`,
    );
  }
  return rowNorm("groupNorm", x, layout, parameters);
}
