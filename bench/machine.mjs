// What a measurement was made on.
import { availableParallelism, cpus, loadavg, platform, release, totalmem } from "node:os";

export function machine() {
  const { model } = cpus()[0] ?? { model: "unknown processor" };
  return {
    processor: model.trim(),
    cores: availableParallelism(),
    memory: `${Math.round(totalmem() / 2 ** 30)} GiB`,
    system: `${platform()} ${release()}`,
    load: Number(loadavg()[0].toFixed(2)),
  };
}
