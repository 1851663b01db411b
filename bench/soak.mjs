// 10,000 training steps of a small network with batch normalization leave memory as it was: `node bench/soak.mjs [steps]`.
// Prints what is resident and the engine's heap as it goes; ends with code 1 if tensors take more than after the first steps, or
// the process more than a few megabytes.
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { build as buildAll } from "../scripts/build.mjs";

const STEPS = Number(process.argv[2] ?? 10_000);
const LOOK = STEPS / 10;
/** Looks after which the process has its size: by then all code is compiled. */
const WARM = 2;
/** Megabytes that the process may grow by afterwards. */
const SLACK = 8;
const BATCH = 32;

if (!Number.isInteger(STEPS) || STEPS < 100 || STEPS % 100 !== 0) {
  console.error(`soak: expected steps in hundreds, got "${process.argv[2]}"`);
  process.exit(2);
}
buildAll();
const { compile, init, memory, nn, optim, tensor, tidy } = await import("../dist/index.js");
const { labels, values } = await import("./peers/data.mjs");
const { build } = await import("./peers/layers-evenkeel.mjs");

await init({ threads: 2 });
const conv = (inputs, outputs) => [["conv", inputs, outputs, 3, 1], ["batchNorm2d", outputs], ["relu"], ["maxPool", 2]];
const model = build([...conv(1, 8), ...conv(8, 16), ["flatten"], ["linear", 64, 32], ["batchNorm1d", 32], ["linear", 32, 10]]);
const optimizer = new optim.SGD(model.parameters(), { lr: 0.01, momentum: 0.9 });

const eager = (x, target) => {
  optimizer.zeroGrad();
  const loss = nn.crossEntropy(model.call(x), target);
  loss.backward();
  optimizer.step();
  return loss;
};
const step = compile ? compile(eager) : eager;
const batches = Array.from({ length: 100 }, (_, i) => ({ images: values([BATCH, 1, 8, 8], i), classes: labels(BATCH, 10, i) }));

/** One step on the next batch; the loss is read, as a training loop does. */
function advance(i) {
  const { images, classes } = batches[i % batches.length];
  return tidy(() => step(tensor(images, [BATCH, 1, 8, 8]), tensor(classes, [BATCH])).item());
}

setFlagsFromString("--expose-gc");
const collect = runInNewContext("gc");

const megabytes = (bytes) => bytes / 2 ** 20;
const seen = [];

function look(steps, loss) {
  collect();
  const { used, reserved, storages } = memory();
  const rss = megabytes(process.memoryUsage().rss);
  seen.push({ steps, used, reserved, storages, rss });
  const columns = [steps, rss.toFixed(1), used, reserved, storages, loss.toFixed(4)];
  console.log(columns.map((text) => String(text).padStart(12)).join(""));
}

console.log(`${compile ? "compiled" : "eager"} steps of a convolutional network, batch ${BATCH}, 2 threads`);
console.log(["steps", "rss MiB", "used", "reserved", "storages", "loss"].map((text) => text.padStart(12)).join(""));
for (let i = 1; i <= STEPS; i++) {
  const loss = advance(i);
  if (i === STEPS / 100 || i % LOOK === 0) look(i, loss);
  // Finalizers and messages of the workers need turns of the event loop.
  if (i % 100 === 0) await new Promise((resolve) => setImmediate(resolve));
}

const [first, warm] = [seen[0], seen[WARM]];
const last = seen.at(-1);
const problems = [];
for (const what of ["used", "storages"]) {
  const grown = seen.find((now) => now[what] > first[what]);
  if (grown) problems.push(`${what} grew from ${first[what]} to ${grown[what]} by step ${grown.steps}`);
}
if (last.reserved > warm.reserved) problems.push(`the engine's heap grew from ${warm.reserved} to ${last.reserved} bytes`);
const growth = last.rss - warm.rss;
if (growth > SLACK) problems.push(`the process grew by ${growth.toFixed(1)} MiB after ${warm.steps} steps; ${SLACK} may be`);
for (const problem of problems) console.error(`soak: ${problem}`);
if (problems.length === 0)
  console.log(`flat: the process grew by ${growth.toFixed(1)} MiB after ${warm.steps} steps, tensors by nothing`);
process.exitCode = problems.length > 0 ? 1 : 0;
