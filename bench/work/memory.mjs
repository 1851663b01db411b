// How much a process grows by a training step: the most that is resident during a few steps, network and optimizer included,
// less what is resident once the library is started and the batch is there. Linux only: from /proc.
import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { torchCommand } from "../peers/torch.mjs";
import { lenetStep, vggStep } from "./train-step.mjs";

const STEPS = 5;
const peer = (name) => fileURLToPath(new URL(`../peers/${name}`, import.meta.url));

const commands = {
  evenkeel: () => [process.execPath, "--expose-gc", peer("memory-evenkeel.mjs")],
  torch: () => {
    const command = torchCommand();
    return command && [command[0], peer("memory_torch.py")];
  },
};

/** Megabytes, and for evenkeel what its own count of bytes in tensors says; null if the peer cannot. */
function once({ network, shape, lr, momentum }, name, threads) {
  const command = existsSync("/proc/self/clear_refs") ? commands[name]?.() : null;
  if (!command) return null;
  const work = JSON.stringify({ network, shape, lr, momentum, threads, steps: STEPS });
  const { stdout, status } = spawnSync(command[0], [...command.slice(1), work], { encoding: "utf8" });
  if (status !== 0) return null;
  const { bytes, engine } = JSON.parse(stdout);
  const note =
    engine === undefined ? undefined : `${(engine / 1e6).toFixed(1)} MB of it are tensors at their peak: memory().peak`;
  return { value: bytes / 1e6, note };
}

const row = (step) => ({
  name: `memory, ${step.name}`,
  unit: "MB",
  once: (name, { threads }) => once(step, name, threads),
});

export const works = [row(vggStep), row(lenetStep)];
