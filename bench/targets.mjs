// The numbers to reach, as data: how each is read from the rows of a run, and what it must be.
import { median } from "./peers/serve.mjs";
import { works as batchNorm } from "./work/batch-norm.mjs";
import { works as matmul } from "./work/matmul.mjs";
import { works as memory } from "./work/memory.mjs";
import { works as size } from "./work/size.mjs";
import { works as start } from "./work/start.mjs";
import { works as threads } from "./work/threads.mjs";
import { works as trainStep } from "./work/train-step.mjs";

const PEERS = { torch: "PyTorch", jax: "jax-js", tfjs: "tfjs wasm" };

/** A target: {work, row, what, unit, atLeast or atMost, of(row) → figure, undefined where a peer is missing}. */
const target = (work, { name }, rest) => ({ work, row: name, ...rest });

const times = (peer, atLeast) => ({
  what: `times as fast as ${PEERS[peer]}`,
  unit: "x",
  atLeast,
  of: ({ evenkeel, peers }) => peers[peer] && peers[peer] / evenkeel,
});

/** Against the faster of the peers that have no AVX: all in WebAssembly. */
const timesBest = (atLeast) => ({
  what: "times as fast as the best of tfjs wasm and jax-js",
  unit: "x",
  atLeast,
  of: ({ evenkeel, peers }) => (peers.tfjs || peers.jax) && Math.min(peers.tfjs ?? Infinity, peers.jax ?? Infinity) / evenkeel,
});

const ofLimit = (atLeast) => ({
  what: "share of the copy loop's speed, 5 passes",
  unit: "",
  atLeast,
  of: ({ evenkeel, limit }) => limit / evenkeel,
});

const value = (what, unit, bound) => ({ what, unit, ...bound, of: ({ evenkeel }) => evenkeel });

const training = batchNorm.filter(({ kind }) => kind === "batchNormTrain");
const [articleLarge, articleSmall, sigmoids, lenet, vgg] = trainStep;
const shapeOf = ({ shape }) => `BN forward + backward [${shape.join(", ")}]`;
const product = (plain) => matmul.find((work) => work.size === 512 && Boolean(work.plain) === plain);

export const targets = [
  target(shapeOf(training[0]), training[0], ofLimit(0.8)),
  ...Object.entries({ torch: 4, jax: 12, tfjs: 100 }).map(([peer, n]) =>
    target(shapeOf(training[0]), training[0], times(peer, n)),
  ),
  ...training.slice(1).map((work) => target(shapeOf(work), work, times("torch", 1))),
  target("matrix product 512, plain SIMD", product(true), timesBest(3)),
  target("matrix product 512, relaxed SIMD", product(false), timesBest(4.5)),
  target("step: article net + BN, batch 512", articleLarge, times("torch", 1)),
  target("step: article net + BN, batch 32", articleSmall, times("torch", 2)),
  target("step: 784-100-100-100-10 sigmoid + BN, batch 60", sigmoids, times("torch", 1.5)),
  target("step: LeNet + BN, batch 64", lenet, times("torch", 2.5)),
  target("step: VGG-6 + BN, batch 64", vgg, times("torch", 1)),
  target("second thread, VGG-6 step", threads[0], value("times faster than one thread", "x", { atLeast: 1.7 })),
  target("import to first result", start[0], value("milliseconds in Node", "ms", { atMost: 150 })),
  target("main entry with one kernel build", size[0], value("kilobytes gzipped", "kB", { atMost: 80 })),
  ...memory.map((work) =>
    target(work.name, work, {
      what: "times PyTorch's growth",
      unit: "x",
      atMost: 1.5,
      of: ({ evenkeel, peers }) => peers.torch && evenkeel / peers.torch,
    }),
  ),
];

/** A line for each target: the figures of all runs, and whether their median reaches it. */
export function verdicts(runs) {
  return targets.map(({ work, row, what, unit, atLeast, atMost, of }) => {
    const rows = runs.map(({ rows }) => rows.find((one) => one.work === row)).filter(Boolean);
    const figures = rows.map(of).filter((figure) => figure !== undefined && !Number.isNaN(figure));
    const isReached = atLeast === undefined ? median(figures) <= atMost : median(figures) >= atLeast;
    const verdict = figures.length === 0 ? "not measured" : isReached ? "reached" : "not reached";
    return { work, what, unit, atLeast, atMost, figures, verdict };
  });
}
