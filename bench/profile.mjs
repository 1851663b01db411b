// Where the time of a recorded training step goes, kernel by kernel:
//   node bench/profile.mjs [part of a step's name] [--threads N] [--steps N]
// Each kernel call is run and timed alone, so waking threads counts each time; the whole step is timed beside it.
import { parseArgs } from "node:util";
import { compile, init, tidy } from "../dist/index.js";
import { makeStep } from "./peers/evenkeel-step.mjs";
import { median } from "./peers/serve.mjs";
import { works } from "./work/train-step.mjs";

const { values: options, positionals } = parseArgs({
  allowPositionals: true,
  options: { threads: { type: "string", default: "2" }, steps: { type: "string", default: "0" } },
});

function timed(run, count) {
  const times = [];
  for (let i = 0; i < count; i++) {
    const start = performance.now();
    tidy(run);
    times.push(performance.now() - start);
  }
  return median(times);
}

/** The median time of each call of the step, added up by kernel. */
function byKernel(step, count) {
  const runs = Array.from({ length: count }, () => step.profile());
  const kernels = new Map();
  for (const [i, { kernel }] of runs[0].entries()) {
    const sum = kernels.get(kernel) ?? { calls: 0, ms: 0 };
    sum.calls++;
    sum.ms += median(runs.map((run) => run[i].ms));
    kernels.set(kernel, sum);
  }
  return [...kernels].sort(([, a], [, b]) => b.ms - a.ms);
}

await init({ threads: Number(options.threads) });
for (const work of works.filter(({ name }) => positionals.every((part) => name.includes(part)))) {
  const { step, tensors } = makeStep(work);
  const [{ backend }] = tensors;
  const compiled = compile(step);
  const count = Number(options.steps) || (work.name.includes("VGG") ? 11 : 201);
  const eager = () => {
    step();
    backend.flush();
  };
  for (let i = 0; i < 5; i++) tidy(compiled);
  console.log(`\n${work.name}: recorded ${timed(compiled, count).toFixed(3)} ms, op by op ${timed(eager, count).toFixed(3)} ms`);
  tidy(compiled);
  const kernels = byKernel(compiled, count);
  const total = kernels.reduce((sum, [, { ms }]) => sum + ms, 0);
  for (const [kernel, { calls, ms }] of kernels) {
    const share = `${((100 * ms) / total).toFixed(1)} %`;
    console.log(`  ${kernel.padEnd(28)} ${String(calls).padStart(3)} calls ${ms.toFixed(3).padStart(9)} ms ${share.padStart(7)}`);
  }
  compiled.dispose();
  for (const t of tensors) t.dispose();
}
