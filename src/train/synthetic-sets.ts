import { blobs, spirals, twoMoons } from "../data/synthetic.js";
import type { TrainConfig } from "./config.js";
import type { TrainSets } from "./prepare.js";

const makers = { moons: twoMoons, spirals, blobs };

/** The synthetic sets that a configuration names; the test set has as many points, drawn from the next seed. */
export function syntheticSets(data: Extract<TrainConfig["data"], { count: number }>, seed: number): TrainSets {
  const make = makers[data.type];
  const noise = data.noise === undefined ? {} : { noise: data.noise };
  return { train: make({ count: data.count, seed, ...noise }), test: make({ count: data.count, seed: seed + 1, ...noise }) };
}
