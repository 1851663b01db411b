import { OptionError } from "../core/errors.js";
import type { Random } from "../core/random.js";
import type { TableSet } from "./dataset.js";
import { randomFor } from "./seed.js";

export interface SyntheticOptions {
  /** Number of points, dealt to the classes in turn. */
  count: number;
  /** Standard deviation of the noise added to each coordinate. */
  noise?: number;
  /** (default 0) */
  seed?: number;
}

/**
 * Two interleaving half circles of radius 1: the upper one around (0, 0), the lower one around (1, 0.5).
 * Shapes: features [count, 2]; two classes.
 * @param options.noise (default 0.1)
 */
export function twoMoons(options: SyntheticOptions): TableSet {
  const { noise = 0.1 } = options;
  return points("two moons", { ...options, noise, classes: 2, width: 2 }, (row, label, random) => {
    const [cos, sin] = unitCircle(random.uniform() / 2);
    row[0] = label === 0 ? cos : 1 - cos;
    row[1] = label === 0 ? sin : 0.5 - sin;
  });
}

/**
 * Spiral arms around the origin, one per class; the radius grows from 0 to 1 along an arm.
 * Shapes: features [count, 2].
 * @param options.classes number of arms (default 3)
 * @param options.turns turns of an arm (default 0.75)
 * @param options.noise (default 0.02)
 */
export function spirals(options: SyntheticOptions & { classes?: number; turns?: number }): TableSet {
  const { classes = 3, turns = 0.75, noise = 0.02 } = options;
  if (!Number.isFinite(turns)) throw new OptionError(`spirals: expected a finite number of turns, got ${turns}.`);
  return points("spirals", { ...options, noise, classes, width: 2 }, (row, label, random) => {
    const radius = random.uniform();
    const [cos, sin] = unitCircle(turns * radius + label / classes);
    row[0] = radius * cos;
    row[1] = radius * sin;
  });
}

/**
 * Gaussian clouds, one per class, whose centers are drawn uniformly from [−spread, spread) in each coordinate.
 * Shapes: features [count, width].
 * @param options.classes (default 3)
 * @param options.width number of coordinates (default 2)
 * @param options.noise standard deviation of a cloud (default 1)
 * @param options.spread (default 10)
 */
export function blobs(options: SyntheticOptions & { classes?: number; width?: number; spread?: number }): TableSet {
  const { classes = 3, width = 2, noise = 1, spread = 10 } = options;
  if (!Number.isFinite(spread) || spread < 0) throw new OptionError(`blobs: expected a non-negative spread, got ${spread}.`);
  let centers: number[] | undefined;
  return points("blobs", { ...options, noise, classes, width }, (row, label, random) => {
    centers ??= Array.from({ length: classes * width }, () => spread * (2 * random.uniform() - 1));
    for (let k = 0; k < width; k++) row[k] = centers[label * width + k]!;
  });
}

type PlacePoint = (row: number[], label: number, random: Random) => void;

function points(
  name: string,
  options: Required<Pick<SyntheticOptions, "count" | "noise">> & SyntheticOptions & { classes: number; width: number },
  place: PlacePoint,
): TableSet {
  const { count, noise, seed = 0, classes, width } = options;
  for (const [key, value] of Object.entries({ count, classes, width })) {
    if (!Number.isInteger(value) || value < 1)
      throw new OptionError(`${name}: expected ${key} to be a positive integer, got ${value}.`);
  }
  if (!Number.isFinite(noise) || noise < 0)
    throw new OptionError(`${name}: expected noise to be a non-negative number, got ${noise}.`);
  const random = randomFor(name, seed, "synthetic");
  const features = new Float32Array(count * width);
  const labels = new Int32Array(count);
  const row = new Array<number>(width).fill(0);
  for (let i = 0; i < count; i++) {
    labels[i] = i % classes;
    place(row, labels[i]!, random);
    for (let k = 0; k < width; k++) features[i * width + k] = row[k]! + noise * random.normal();
  }
  return {
    name,
    features,
    labels,
    count,
    width,
    shape: [width],
    classes: Array.from({ length: classes }, (_, k) => String(k)),
    columns: [],
    source: `${count} points of ${name}, seed ${seed}`,
    sample: false,
  };
}

/**
 * Cosine and sine of `turns` full turns, by their Taylor series: Math.cos and Math.sin may differ in the last bit from
 * one JavaScript engine to another, and a seed should give the same points everywhere.
 */
function unitCircle(turns: number): [number, number] {
  const quarter = Math.round(4 * turns);
  const x = (turns - quarter / 4) * 2 * Math.PI;
  let cos = 0;
  let sin = 0;
  let term = 1;
  for (let k = 0; k < 20; k += 2) {
    const sign = k % 4 === 0 ? 1 : -1;
    cos += sign * term;
    sin += (sign * term * x) / (k + 1);
    term *= (x * x) / ((k + 1) * (k + 2));
  }
  const quadrant = ((quarter % 4) + 4) % 4;
  if (quadrant === 0) return [cos, sin];
  if (quadrant === 1) return [-sin, cos];
  return quadrant === 2 ? [-cos, -sin] : [sin, -cos];
}
