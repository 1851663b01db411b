import * as fc from "fast-check";
import { Random } from "../../src/core/random.js";

/** Random examples of each mode. */
export const RUNS = 100;

/** Largest offset of a channel. */
export const LARGEST_OFFSET = 1e3;

/** One input of batch normalization; all numbers are float32 ones. */
export interface BatchNormExample {
  readonly shape: readonly number[];
  readonly eps: number;
  /** Weight of the newest batch: a 64th, so that 1 − momentum is exact in float32. */
  readonly momentum: number;
  readonly x: Float32Array;
  readonly weight: Float32Array;
  readonly bias: Float32Array;
  readonly mean: Float32Array;
  readonly variance: Float32Array;
}

/** What is compared: the output and the running values after it. */
export type Results = Readonly<Record<"y" | "mean" | "variance", ArrayLike<number>>>;

const shapes = fc
  .tuple(
    fc.integer({ min: 1, max: 9 }),
    fc.integer({ min: 1, max: 9 }),
    fc.integer({ min: 2, max: 5 }).chain((rank) => {
      const spatial = fc.integer({ min: 1, max: 6 });
      return fc.array(spatial, { minLength: rank - 2, maxLength: rank - 2 });
    }),
  )
  .map(([n, c, spatial]) => [n, c, ...spatial]);

/** A power of ten between two exponents. */
const powers = (from: number, to: number) => fc.integer({ min: from, max: to }).map((exponent) => 10 ** exponent);

interface Settings {
  shape: number[];
  eps: number;
  momentum: number;
  offset: number;
  spread: number;
  seed: number;
}

const settings: fc.Arbitrary<Settings> = fc.record({
  shape: shapes,
  eps: powers(-6, -1).map(Math.fround),
  momentum: fc.integer({ min: 0, max: 64 }).map((n) => n / 64),
  offset: fc.constantFrom(0, 1, 10, 100, LARGEST_OFFSET),
  spread: powers(-2, 2),
  seed: fc.nat(),
});

/** Each channel has a mean of up to `offset` and a standard deviation about `spread`; the running values are these. */
function fill({ shape, eps, momentum, offset, spread, seed }: Settings): BatchNormExample {
  const random = new Random(seed);
  const c = shape[1]!;
  const perChannel = (value: () => number) => Float32Array.from({ length: c }, value);
  const mean = perChannel(() => offset * (2 * random.uniform() - 1));
  const deviation = perChannel(() => spread * (0.5 + random.uniform()));
  const inner = shape.slice(2).reduce((product, k) => product * k, 1);
  const channelOf = (i: number) => Math.floor(i / inner) % c;
  const x = Float32Array.from({ length: shape[0]! * c * inner }, (_, i) => {
    const channel = channelOf(i);
    return mean[channel]! + deviation[channel]! * random.normal();
  });
  const [weight, bias] = [perChannel(() => 2 * random.normal()), perChannel(() => random.normal())];
  return { shape, eps, momentum, x, weight, bias, mean, variance: deviation.map((value) => value * value) };
}

export const examples = settings.map(fill);

/** A batch of one value per channel cannot be trained with. */
export const trainingExamples = settings
  .filter(({ shape: [n, , ...spatial] }) => spatial.reduce((product, k) => product * k, n!) > 1)
  .map(fill);
