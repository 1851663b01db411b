// `npm run bench:install`: the peers, into bench/ alone. Nothing but the npm and Python registries is asked.
// On Linux, PyPI's wheel of PyTorch brings CUDA along (gigabytes); BENCH_PYTHON names a Python that has PyTorch already.
import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { install } from "../scripts/install.mjs";
import { at } from "../scripts/paths.mjs";
import { torchCommand } from "./peers/torch.mjs";

const TORCH = "torch==2.13.0";
const VENV = at("bench/.venv");
const python = at("bench/.venv/bin/python");

const passes = (command, ...args) => spawnSync(command, args, { stdio: ["ignore", "ignore", "inherit"] }).status === 0;

function installTorch() {
  if ([process.env.BENCH_PYTHON, python].some((path) => path && spawnSync(path, ["-c", "import torch"]).status === 0)) return;
  console.error(`bench: installing ${TORCH} into bench/.venv`);
  const isMade = existsSync(python) || passes("python3", "-m", "venv", VENV);
  if (isMade && passes(python, "-m", "pip", "install", "--quiet", "--only-binary=:all:", TORCH)) return;
  console.error(`bench: pip did not install ${TORCH}; trying Debian's python3-torch`);
  if (spawnSync("/usr/bin/python3", ["-c", "import torch"]).status === 0) return;
  if (process.getuid?.() === 0) passes("apt-get", "install", "--yes", "--no-install-recommends", "python3-torch");
}

try {
  install(at("bench"), "the packages that the benchmarks compare with");
  installTorch();
  const command = torchCommand();
  if (command) console.log(`bench: npm peers are in bench/node_modules; PyTorch is that of ${command[0]}`);
  else console.log("bench: npm peers are in bench/node_modules; PyTorch is missing: neither pip nor apt-get installed it");
} catch (error) {
  console.error(`bench: ${error.message}`);
  process.exitCode = 1;
}
