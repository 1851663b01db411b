import { isAbsolute, resolve } from "node:path";
import { warnOnce } from "../core/warnings.js";
import { loadCifar10, loadCsv, loadFashionMnist, loadImageFolder, loadMnist } from "../data/node.js";
import type { TrainConfig } from "../train/config.js";
import type { TrainSets } from "../train/prepare.js";
import { syntheticSets } from "../train/synthetic-sets.js";

const fromFiles = { mnist: loadMnist, fashion: loadFashionMnist, cifar10: loadCifar10 };

/** Reads the data that a configuration names; paths are relative to `folder`, where the configuration lies. */
export async function loadSets({ data, seed }: TrainConfig, folder: string): Promise<TrainSets> {
  const at = (path: string) => (isAbsolute(path) ? path : resolve(folder, path));
  if (data.type === "csv") {
    return { train: await loadCsv(at(data.file), data.label === undefined ? {} : { label: data.label }), test: null };
  }
  if (data.type === "images") {
    const channels = data.channels === undefined ? {} : { channels: data.channels };
    return { train: await loadImageFolder({ dir: at(data.dir), ...channels }), test: null };
  }
  if ("count" in data) return syntheticSets(data, seed);
  const load = fromFiles[data.type];
  const where = { onNotice: warnOnce, ...(data.dir === undefined ? {} : { dataDir: at(data.dir) }) };
  return { train: await load({ split: "train", ...where }), test: await load({ split: "test", ...where }) };
}
