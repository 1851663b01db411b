// What one use of each instrument costs, in milliseconds and in recorded training steps of the same network:
//   node bench/instruments.mjs [mlp|vgg] [--threads N] [--only TEXT]
// Networks: 784-100-100-100-10 with batch norm and ReLU, batch 128; six convolutions with batch norm on 32×32, batch 32.
import { parseArgs } from "node:util";
import { compile, init, nn, normal, optim, tensor, tidy, uniform } from "../dist/index.js";
import * as instruments from "../dist/instruments.js";
import { median } from "./peers/serve.mjs";

const { values: options, positionals } = parseArgs({
  allowPositionals: true,
  options: { threads: { type: "string", default: "1" }, only: { type: "string", default: "" } },
});

const normalized = (layer, Norm, width) => [layer, new Norm(width), new nn.ReLU()];

const networks = {
  mlp() {
    const hidden = [784, 100, 100].flatMap((width) => normalized(new nn.Linear(width, 100), nn.BatchNorm1d, 100));
    return { model: new nn.Sequential(...hidden, new nn.Linear(100, 10)), x: uniform([128, 784]) };
  },
  vgg() {
    const block = (from, to) => normalized(new nn.Conv2d(from, to, 3, { padding: 1, bias: false }), nn.BatchNorm2d, to);
    const pair = (from, to) => [...block(from, to), ...block(to, to), new nn.MaxPool2d(2)];
    const layers = [...pair(3, 32), ...pair(32, 64), ...pair(64, 128), new nn.Flatten(), new nn.Linear(128 * 16, 10)];
    return { model: new nn.Sequential(...layers), x: uniform([32, 3, 32, 32]) };
  },
};

/** Steps over which the cost of probes that sample is spread. */
const INTERVAL = 20;

/** Uses that look at distributions: those of one tensor, the first layer's output, and probes on all modules. */
function distributionUses(model, x, step, recorded) {
  const y = tidy(() => model.at(0).call(x).detach().keep());
  const matrix = normal([y.shape[0], 100]);
  const probing = (count, run, options) => () => {
    const probes = model.modules().map((module) => new instruments.ActivationProbe(module, options));
    for (let i = 0; i < count; i++) tidy(() => run().item());
    for (const probe of probes) probe.detach();
  };
  return {
    "describe, pooled": () => instruments.describe(y),
    "describe, pooled and each unit": () => instruments.describe(y, { units: "channel" }),
    "histogram, pooled": () => instruments.histogram(y),
    saturation: () => instruments.saturation(y, { activation: "relu" }),
    wasserstein1: () => instruments.wasserstein1(y, y),
    "effectiveRank of 100 units": () => instruments.effectiveRank(matrix),
    "step as it is, without probes": () => tidy(() => step().item()),
    "step with ActivationProbe on all modules": probing(1, step, {}),
    "the same for each unit": probing(1, step, { units: "channel" }),
    "the same with a histogram": probing(1, step, { units: "channel", histogram: true }),
    [`${INTERVAL} recorded steps, probes with every: ${INTERVAL}`]: probing(INTERVAL, recorded, { every: INTERVAL }),
  };
}

/** Every use, as a function of a model that has gradients. */
function gradientUses(model, x, loss, step, optimizer) {
  const { GradientProbe, UpdateRatio } = instruments;
  const updates = new UpdateRatio(model);
  const v = new Map([...model.namedParameters()].map(([key, p]) => [key, p.detach()]));
  const last = [...model.namedModules().keys()].at(-1);
  const probed = (distribution) => () => {
    const probes = model.modules().map((module) => new GradientProbe(module, { distribution }));
    tidy(() => step().item());
    for (const probe of probes) probe.detach();
  };
  return {
    "gradientNorms, per parameter": () => instruments.gradientNorms(model),
    gradientDistribution: () => instruments.gradientDistribution(model),
    "UpdateRatio, before and after": () => {
      updates.before();
      updates.after();
    },
    "effectiveLearningRate, all weights": () =>
      instruments.scaleInvariantWeights(model).map(({ weight }) => instruments.effectiveLearningRate(weight, 0.1)),
    "step with GradientProbe on all modules": probed(false),
    "the same with distribution": probed(true),
    trainEvalGap: () => instruments.trainEvalGap(model, x),
    "layerShift, last layer": () => instruments.layerShift(model, loss, optimizer, { layers: [last] }),
    "layerShift, all layers": () => instruments.layerShift(model, loss, optimizer),
    "alongGradient, 4 points": () => instruments.alongGradient(model, loss, { etas: [0.05, 0.1, 0.2, 0.4] }),
    hessianVectorProduct: () => {
      for (const t of instruments.hessianVectorProduct(model, loss, v).values()) t.dispose();
    },
    "largestCurvature, 10 iterations": () => instruments.largestCurvature(model, loss, { iterations: 10, tolerance: 0 }),
  };
}

function timed(run, count) {
  run();
  const times = Array.from({ length: count }, () => {
    const start = performance.now();
    run();
    return performance.now() - start;
  });
  return median(times);
}

await init({ threads: Number(options.threads) });
for (const name of positionals.length > 0 ? positionals : Object.keys(networks)) {
  const { model, x } = networks[name]();
  const labels = tensor(Int32Array.from({ length: x.shape[0] }, (_, i) => i % 10));
  const optimizer = new optim.SGD(model.parameters(), { lr: 0.01, momentum: 0.9 });
  const loss = () => nn.crossEntropy(model.call(x), labels);
  const step = () => {
    optimizer.zeroGrad();
    const value = loss();
    value.backward();
    optimizer.step();
    return value;
  };
  const recorded = compile(step);
  const count = name === "vgg" ? 3 : 41;
  const unit = timed(() => recorded().item(), 3 * count);
  console.log(`\n${name}: a recorded step takes ${unit.toFixed(2)} ms`);
  const uses = { ...gradientUses(model, x, loss, step, optimizer), ...distributionUses(model, x, step, recorded) };
  for (const [use, run] of Object.entries(uses)) {
    if (!use.includes(options.only)) continue;
    const ms = timed(run, count);
    console.log(`  ${use.padEnd(40)} ${ms.toFixed(2).padStart(8)} ms ${(ms / unit).toFixed(2).padStart(7)} steps`);
  }
}
