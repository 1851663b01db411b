import { setTimeout } from "node:timers/promises";
import { warnOnce } from "../core/warnings.js";
import { loadFashionMnist, loadMnist } from "../data/node.js";
import { runCompare } from "../experiments/compare.js";
import type { RunCompare } from "../experiments/record.js";
import { packageVersion } from "./version.js";

/** Finds the data set that the options name, then runs the comparison on it. */
export const runCompareOnFiles: RunCompare = async (options, hooks) => {
  const load = options.data === "fashion" ? loadFashionMnist : loadMnist;
  const where = { onNotice: warnOnce, ...(options.dataDir === undefined ? {} : { dataDir: options.dataDir }) };
  const train = await load({ split: "train", ...where });
  const test = await load({ split: "test", ...where });
  // Signals that came while the files were read.
  await setTimeout(0);
  const versions = { evenkeel: packageVersion(), node: process.versions.node };
  return runCompare({ train, test, versions }, options, hooks);
};
