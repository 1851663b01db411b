// Errors, their units, and verdicts.

const largest = (list) => list.reduce((most, value) => Math.max(most, Math.abs(value)), 0);

/** Size of the last bit of a float32 of the size of `value`. */
export function ulp(value) {
  const size = Math.abs(Math.fround(value));
  return size < 2 ** -126 ? 2 ** -149 : 2 ** (Math.floor(Math.log2(size)) - 23);
}

// What an error is divided by. `scale` sees the case's inputs and its reference.
const byGamma = { unit: "max error / max γ", scale: ({ weight }) => largest(weight) };
const byOwn = (key, symbol) => ({ unit: `max error / max ${symbol}`, scale: (_, { values }) => largest(values[key]) });
const byGain = (gain) => ({ unit: "max error / (max γ/σ · max dy)", scale: ({ dy }, found) => found[gain] * largest(dy) });

/** The tables, in order: a participant's file, what it is, and the unit of its errors (absolute values throughout). */
export const QUANTITIES = [
  { key: "y", title: "Training: y", ...byGamma },
  { key: "mean", title: "Training: running mean, momentum 1", ...byOwn("mean", "mean") },
  {
    key: "variance",
    title: "Training: running variance, momentum 1",
    unit: "largest error / variance of a channel",
    scale: undefined,
  },
  { key: "dx", title: "Training: dx", ...byGain("gain") },
  { key: "dweight", title: "Training: dγ", ...byOwn("dweight", "dγ") },
  { key: "evalY", title: "Evaluation: y", ...byGamma },
  { key: "evalDx", title: "Evaluation: dx", ...byGain("evalGain") },
  { key: "evalDweight", title: "Evaluation: dγ", ...byOwn("evalDweight", "dγ") },
];

/** What is not a number counts as infinitely far. */
const distance = (a, b) => (Number.isFinite(a) ? Math.abs(a - b) : Number.POSITIVE_INFINITY);

/**
 * The error of `got` in the unit of its quantity, and in ulps of the largest |reference|; where that is 0, the error is
 * absolute and has no ulps worth reading.
 */
export function errorOf({ key, scale }, got, inputs, found) {
  const want = found.values[key];
  if (got.length !== want.length) throw new Error(`${key}: got ${got.length} values, expected ${want.length}`);
  let [most, relative] = [0, 0];
  for (let i = 0; i < want.length; i++) {
    const error = distance(got[i], want[i]);
    most = Math.max(most, error);
    relative = Math.max(relative, error / (Math.abs(want[i]) || 1));
  }
  return { error: scale ? most / (scale(inputs, found) || 1) : relative, ulps: most / ulp(largest(want)) };
}

const TOLERANCE = 2;
const BEST = "best";
const CLOSE = `within ${TOLERANCE} ulp of the best`;
export const WORSE = "worse";
export const VERDICTS = [BEST, CLOSE, WORSE];

/** Where evenkeel stands among all that have a figure. */
export function verdictOf({ evenkeel, ...others }) {
  const best = Math.min(...Object.values(others).map(({ ulps }) => ulps));
  if (!Number.isFinite(evenkeel.ulps)) return WORSE;
  if (evenkeel.ulps <= best) return BEST;
  return evenkeel.ulps <= best + TOLERANCE ? CLOSE : WORSE;
}
