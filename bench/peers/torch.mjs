// Which Python has PyTorch: BENCH_PYTHON if set, then the environment of bench:install, then the system's.
import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";

const candidates = () => [
  process.env.BENCH_PYTHON,
  fileURLToPath(new URL("../.venv/bin/python", import.meta.url)),
  "python3",
  "/usr/bin/python3",
];

/** The command of the PyTorch participant, or null. */
export function torchCommand() {
  const python = candidates().find((path) => path && spawnSync(path, ["-c", "import torch"]).status === 0);
  return python ? [python, fileURLToPath(new URL("torch_peer.py", import.meta.url))] : null;
}
