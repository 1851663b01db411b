// What a measurement was made on.
import { readFileSync } from "node:fs";
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

/** Ticks of all processors that were busy, of all in total, and of the processes `pids`; null where there is no /proc. */
function ticks(pids) {
  try {
    const [user, nice, system, idle, wait, ...rest] = readFileSync("/proc/stat", "utf8")
      .split("\n")[0]
      .split(/\s+/)
      .slice(1)
      .map(Number);
    const busy = user + nice + system + rest.slice(0, 3).reduce((a, b) => a + b, 0);
    const own = pids.map((pid) => {
      const fields = readFileSync(`/proc/${pid}/stat`, "utf8").split(") ")[1].split(" ");
      return Number(fields[11]) + Number(fields[12]);
    });
    return { busy, total: busy + idle + wait, own: own.reduce((a, b) => a + b, 0) };
  } catch {
    return null;
  }
}

/** Runs `fn`; also returns the share of the processors, 0 to 1, that other programs took meanwhile (0 where unknown). */
export async function watched(pids, fn) {
  const before = ticks(pids);
  const result = await fn();
  const after = ticks(pids);
  if (before === null || after === null) return { result, others: 0 };
  const others = after.busy - before.busy - (after.own - before.own);
  return { result, others: Math.max(0, others) / Math.max(1, after.total - before.total) };
}
