import { DataError } from "../core/errors.js";
import type { ImageSet } from "../data/dataset.js";
import { loadFashionMnist, loadMnist } from "../data/node.js";
import type { JobContext, Plan } from "../experiments/protocol.js";

/** Images of a quick run: it shows that an experiment runs and what its figures look like. */
const QUICK = { train: 12_000, test: 2_000 };

/** Both sets whole, since an experiment on a small sample would be another experiment; the first images of them in quick runs. */
export async function loadPlanData({ data: name, mode }: Pick<Plan, "data" | "mode">): Promise<JobContext> {
  const load = name === "fashion" ? loadFashionMnist : loadMnist;
  const [train, test] = [await load({ split: "train" }), await load({ split: "test" })];
  if (train.sample || test.sample) {
    throw new DataError(
      `experiments: expected all of ${train.name}, found ${train.source} only. ` +
        "Put its files into the cache, or allow the download.",
    );
  }
  return mode === "full" ? { train, test } : { train: firstOf(train, QUICK.train), test: firstOf(test, QUICK.test) };
}

/** The first `count` images of a set. */
export function firstOf(set: ImageSet, count: number): ImageSet {
  const width = set.images.length / set.count;
  return { ...set, count, images: set.images.slice(0, count * width), labels: set.labels.slice(0, count) };
}
