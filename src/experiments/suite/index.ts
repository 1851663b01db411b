// All experiments, in the order in which they are shown.
import type { Experiment } from "../protocol.js";
import { weightDecay } from "./e04-weight-decay.js";

export const suite: readonly Experiment[] = [weightDecay];

/** The experiment of that id, whatever its case; undefined if there is none. */
export function findExperiment(id: string): Experiment | undefined {
  return suite.find((experiment) => experiment.id.toLowerCase() === id.toLowerCase());
}
