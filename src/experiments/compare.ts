// The article's experiment: one network with and without batch normalization, from the same start, on the same batches.
import { type CompiledStep, compile } from "../autograd/compile.js";
import { noGrad } from "../autograd/mode.js";
import type { ImageSet } from "../data/dataset.js";
import { DataLoader } from "../data/loader.js";
import { releaseSet } from "../data/resident.js";
import { currentBackend, init } from "../engine/current.js";
import { BatchNorm1d } from "../nn/batch-norm.js";
import { Linear } from "../nn/linear.js";
import type { Module } from "../nn/module.js";
import { Sequential } from "../nn/sequential.js";
import { batchNorm } from "../ops/batch-norm.js";
import { crossEntropy } from "../ops/loss.js";
import { SGD } from "../optim/sgd.js";
import { manualSeed } from "../tensor/random.js";
import { tidy } from "../tensor/scope.js";
import type { Tensor } from "../tensor/tensor.js";
import { evaluate } from "../train/evaluate.js";
import { activationOf } from "./activation.js";
import { describeUnits } from "./distribution.js";
import {
  ARM_NAMES,
  type ArmName,
  type ArmRecord,
  type CompareHooks,
  type CompareOptions,
  type CompareRecord,
  finiteOrNull,
  type PerArm,
  RECORD_SCHEMA_VERSION,
  type Snapshot,
} from "./record.js";

/** The data of a comparison, and the versions that its record names. */
export interface CompareInputs {
  train: ImageSet;
  test: ImageSet;
  versions: { evenkeel: string; node: string };
}

/** Training images on which the first layer is looked at. */
const PROBE = 512;
const TEST_BATCH = 1000;
/** The event loop gets a turn after this many milliseconds, so that signals and progress come through. */
const TURN_MS = 50;

/** One of the two networks while it trains. */
class Arm {
  readonly model: Sequential;
  readonly optimizer: SGD;
  readonly record: ArmRecord;
  private readonly trainStep: CompiledStep<[index: Tensor], Tensor>;

  constructor(
    readonly name: ArmName,
    options: CompareOptions,
    sizes: readonly number[],
    train: DataLoader<ImageSet>,
  ) {
    this.model = buildNetwork(sizes, options, name === "batch-norm");
    this.optimizer = new SGD(this.model.parameters(), { lr: options.lr });
    this.record = {
      name,
      losses: [],
      epochs: [],
      samplesPerSecond: null,
      trainSeconds: 0,
      finalTestAccuracy: null,
      snapshots: [],
    };
    this.trainStep = compile((index: Tensor) => {
      const { inputs, targets } = train.gather(index);
      const loss = crossEntropy(this.model.call(inputs), targets);
      loss.backward();
      this.optimizer.step();
      this.optimizer.zeroGrad();
      return loss;
    });
  }

  /** The Linear layers, in order. */
  get linears(): Linear[] {
    return [...this.model].filter((layer) => layer instanceof Linear);
  }

  /** One step of training on the images at `index`; returns the loss. */
  step(index: Tensor): number {
    const start = performance.now();
    const loss = tidy(() => this.trainStep(index).item());
    this.record.trainSeconds += (performance.now() - start) / 1000;
    this.record.losses.push(finiteOrNull(loss));
    return loss;
  }

  /** Looks at the first layer with the statistics of the probe batch itself; the network is not touched. */
  snapshot(probe: Tensor): void {
    const step = this.record.losses.length;
    const snapshot = tidy(() =>
      noGrad((): Snapshot => {
        const first = this.linears[0]!;
        const before = first.forward(probe);
        const seen = describeUnits(before);
        const norm = this.model.at(1);
        if (!(norm instanceof BatchNorm1d)) return { step, before: seen };
        const after = batchNorm(before, { weight: norm.weight, bias: norm.bias, eps: norm.eps, training: true });
        return { step, before: seen, after: describeUnits(after) };
      }),
    );
    this.record.snapshots.push(snapshot);
  }

  dispose(): void {
    this.trainStep.dispose();
    this.optimizer.dispose();
    this.model.dispose();
  }
}

function buildNetwork(sizes: readonly number[], options: CompareOptions, normalized: boolean): Sequential {
  const layers: Module[] = [];
  for (let i = 0; i + 1 < sizes.length; i++) {
    layers.push(new Linear(sizes[i]!, sizes[i + 1]!));
    if (i + 2 === sizes.length) break;
    if (normalized) layers.push(new BatchNorm1d(sizes[i + 1]!));
    layers.push(activationOf(options.activation));
  }
  return new Sequential(...layers);
}

/** Gives `to` the weights of `from`, layer by layer. */
function copyWeights(from: Arm, to: Arm): void {
  from.linears.forEach((layer, i) => {
    to.linears[i]!.loadStateDict(layer.stateDict());
  });
}

/** Steps after which the first layer is looked at: the first ones in growing distances, then the end of every epoch. */
function snapshotSteps(stepsPerEpoch: number, epochs: number): Set<number> {
  const early = [0, 1, 3, 10, 30, 100].filter((step) => step < stepsPerEpoch);
  return new Set([...early, ...Array.from({ length: epochs }, (_, e) => (e + 1) * stepsPerEpoch)]);
}

/** Both arms, step by step. */
class Comparison {
  private readonly started = new Date();
  private readonly arms: readonly Arm[];
  private readonly train: DataLoader<ImageSet>;
  private readonly test: DataLoader<ImageSet>;
  private readonly probe: Tensor;
  private readonly looks: ReadonlySet<number>;
  private lastTurn = performance.now();

  constructor(
    private readonly inputs: CompareInputs,
    private readonly options: CompareOptions,
    private readonly hooks: CompareHooks,
  ) {
    const { train, test } = inputs;
    const { batch, seed, epochs, hidden } = options;
    const batchSize = Math.min(batch, train.count);
    // A last batch of one image cannot be normalized: it joins the batch before. Other short ones stay, as in the article.
    const dropLast = train.count % batchSize === 1 ? "merge" : "keep";
    this.train = new DataLoader(train, {
      batchSize,
      shuffle: true,
      seed,
      dropLast,
      flatten: true,
    });
    this.test = new DataLoader(test, { batchSize: TEST_BATCH, flatten: true });
    manualSeed(seed);
    const width = train.shape.reduce((product, n) => product * n, 1);
    this.arms = ARM_NAMES.map((name) => new Arm(name, options, [width, ...hidden, train.classes.length], this.train));
    copyWeights(this.arms[0]!, this.arms[1]!);
    const count = Math.min(PROBE, train.count);
    this.probe = this.train.tensors(Int32Array.from({ length: count }, (_, i) => i)).inputs.keep();
    this.looks = snapshotSteps(this.train.length, epochs);
  }

  async run(): Promise<CompareRecord> {
    const { epochs } = this.options;
    const stepsPerEpoch = this.train.length;
    this.hooks.onEvent?.({ type: "start", epochs, stepsPerEpoch, totalSteps: epochs * stepsPerEpoch, data: this.dataRecord() });
    for (const arm of this.arms) arm.snapshot(this.probe);
    let finished = true;
    for (let epoch = 1; epoch <= epochs && finished; epoch++) finished = await this.runEpoch(epoch);
    return this.finish(!finished);
  }

  /** Returns false if it was interrupted. */
  private async runEpoch(epoch: number): Promise<boolean> {
    const before = this.arms.map((arm) => arm.record.trainSeconds);
    for (const indices of this.train.epoch(epoch - 1)) {
      if (this.hooks.signal?.aborted) return false;
      tidy(() => {
        const index = this.train.indexTensor(indices);
        for (const arm of this.arms) {
          arm.step(index);
          this.reportStep(arm, epoch);
        }
      });
      for (const arm of this.arms) if (this.looks.has(arm.record.losses.length)) arm.snapshot(this.probe);
      await this.takeTurn();
    }
    for (const [i, arm] of this.arms.entries()) this.closeEpoch(arm, epoch, arm.record.trainSeconds - before[i]!);
    return true;
  }

  private closeEpoch(arm: Arm, epoch: number, seconds: number): void {
    const { loss, accuracy } = evaluate(arm.model, this.test);
    const losses = arm.record.losses.slice(-this.train.length);
    const meanLoss = losses.includes(null) ? null : losses.reduce((sum: number, x) => sum + (x ?? 0), 0) / losses.length;
    // Images have classes, so there is an accuracy.
    const testAccuracy = accuracy!;
    const result = { epoch, meanLoss, testLoss: finiteOrNull(loss), testAccuracy, seconds };
    arm.record.epochs.push(result);
    arm.record.finalTestAccuracy = testAccuracy;
    this.hooks.onEvent?.({ type: "epoch", arm: arm.name, ...result });
  }

  private reportStep(arm: Arm, epoch: number): void {
    const step = arm.record.losses.length;
    const totalSteps = this.options.epochs * this.train.length;
    const losses = this.perArm(({ record }) => record.losses.at(-1) ?? null);
    const samplesPerSecond = this.perArm((a) => this.rateOf(a));
    this.hooks.onEvent?.({ type: "step", arm: arm.name, epoch, step, totalSteps, losses, samplesPerSecond });
  }

  private perArm(value: (arm: Arm) => number | null): PerArm {
    return { plain: value(this.arms[0]!), "batch-norm": value(this.arms[1]!) };
  }

  private rateOf({ record }: Arm): number | null {
    const perEpoch = this.train.count / this.train.length;
    return record.trainSeconds > 0 ? (record.losses.length * perEpoch) / record.trainSeconds : null;
  }

  private async takeTurn(): Promise<void> {
    if (performance.now() - this.lastTurn < TURN_MS) return;
    await new Promise((resolve) => setTimeout(resolve, 0));
    this.lastTurn = performance.now();
  }

  private dataRecord(): CompareRecord["data"] {
    const { train, test } = this.inputs;
    return { source: train.source, sample: train.sample || test.sample, trainImages: train.count, testImages: test.count };
  }

  private finish(interrupted: boolean): CompareRecord {
    for (const arm of this.arms) {
      arm.record.samplesPerSecond = this.rateOf(arm);
      if (!interrupted) continue;
      arm.snapshot(this.probe);
      if (arm.record.losses.length > 0) arm.record.finalTestAccuracy = evaluate(arm.model, this.test).accuracy;
    }
    const backend = currentBackend();
    const { threads, deterministic } = this.options;
    return {
      kind: "compare",
      schemaVersion: RECORD_SCHEMA_VERSION,
      started: this.started.toISOString(),
      finished: new Date().toISOString(),
      interrupted,
      config: this.options,
      versions: { ...this.inputs.versions, backend: backend.name, threads, deterministic },
      data: this.dataRecord(),
      stepsPerEpoch: this.train.length,
      probe: {
        images: this.probe.shape[0]!,
        description: `the first ${this.probe.shape[0]} training images, normalized with their own statistics as in training`,
      },
      arms: this.arms.map((arm) => arm.record),
    };
  }

  dispose(): void {
    for (const arm of this.arms) arm.dispose();
    this.probe.dispose();
    for (const set of [this.inputs.train, this.inputs.test]) releaseSet(set);
  }
}

/**
 * Trains both networks side by side, with the same initial weights (the plain arm's, also in the Linear layers of the other),
 * the same batches and the same learning rate, and evaluates both on the test set after every epoch.
 *
 * @returns the record; on abort what was done so far, marked as interrupted
 */
export async function runCompare(
  inputs: CompareInputs,
  options: CompareOptions,
  hooks: CompareHooks = {},
): Promise<CompareRecord> {
  await init({ threads: options.threads, deterministic: options.deterministic });
  const comparison = new Comparison(inputs, options, hooks);
  try {
    return await comparison.run();
  } finally {
    comparison.dispose();
  }
}
