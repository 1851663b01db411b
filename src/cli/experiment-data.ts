import { DataError } from "../core/errors.js";
import { loadFashionMnist, loadMnist } from "../data/node.js";
import type { JobContext, Plan } from "../experiments/protocol.js";

/** Both sets whole: an experiment on a small sample would be another experiment. */
export async function loadPlanData(name: Plan["data"]): Promise<JobContext> {
  const load = name === "fashion" ? loadFashionMnist : loadMnist;
  const [train, test] = [await load({ split: "train" }), await load({ split: "test" })];
  if (train.sample || test.sample) {
    throw new DataError(
      `experiments: expected all of ${train.name}, found ${train.source} only. ` +
        "Put its files into the cache, or allow the download.",
    );
  }
  return { train, test };
}
