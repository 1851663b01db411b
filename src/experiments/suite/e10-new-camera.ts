// E10: what recomputed statistics can and cannot mend when the images change.
import { noGrad } from "../../autograd/mode.js";
import { DataLoader } from "../../data/loader.js";
import { randomFor } from "../../data/seed.js";
import { allIndices, type Indices } from "../../data/split.js";
import { BatchNorm1d } from "../../nn/batch-norm.js";
import type { Sequential } from "../../nn/sequential.js";
import { argmax } from "../../ops/reduce.js";
import { normal } from "../../tensor/create.js";
import { manualSeed } from "../../tensor/random.js";
import { tidy } from "../../tensor/scope.js";
import type { Tensor } from "../../tensor/tensor.js";
import { buildMlp, NORM_LABELS, type Norm } from "../networks.js";
import { defineExperiment, type JobContext } from "../protocol.js";
import { above, allOf, below, everySeed, interval, mean } from "../statistics.js";
import { bandPoint, dotsRow, exploratory } from "../summary.js";
import { trainModel } from "../training.js";

/** What happens to the pixels: x becomes a·x + b + noise·z, without clipping. */
const CAMERAS = {
  clean: { label: "clean", a: 1, b: 0, noise: 0 },
  contrast: { label: "contrast × 0.3", a: 0.3, b: 0, noise: 0 },
  washed: { label: "0.7 x + 0.3", a: 0.7, b: 0.3, noise: 0 },
  noise3: { label: "noise 0.3", a: 1, b: 0, noise: 0.3 },
  noise6: { label: "noise 0.6", a: 1, b: 0, noise: 0.6 },
  invert: { label: "inverted", a: -1, b: 1, noise: 0 },
} as const;
type Camera = keyof typeof CAMERAS;
const NAMES = Object.keys(CAMERAS) as Camera[];
/** Unlabelled images of the new camera from which statistics are recomputed. One has no variance, and is refused. */
const COUNTS = [2, 8, 32, 128, 1000];
const ALL = 1000;
/** Name of the set of running statistics that is recomputed, beside those of training. */
const TARGET = "target";
const STEPS = { full: 700, quick: 60 };

type Params = { norm: "none" | "batch"; seed: number; steps: number };
/** Accuracies in %, by camera; the curve is for "washed". */
type Result = {
  old: Record<Camera, number>;
  recomputed: Record<Camera, number> | null;
  curve: number[] | null;
  oneClass: number | null;
  /** Largest difference of logits, clean and "washed" or "contrast", each with statistics of the same images. */
  logits: number | null;
};

const keyOf = (norm: Norm, seed: number) => `${norm}-${seed}`;

export const newCamera = defineExperiment<Params, Result>({
  id: "E10",
  title: "New camera, old statistics",
  claim:
    "When brightness or contrast change, running statistics are what fails: recomputed from images without labels they bring the accuracy back. Noise and inversion they cannot mend.",
  source:
    "Ioffe & Szegedy 2015, section 5; Schneider et al. 2020 (arXiv 2006.16971); Wu & Johnson 2021, section 4 (arXiv 2105.07576)",
  refutedBy:
    "A recovery of 80 % or less of what washed-out images or low contrast cost; or a recovery of 50 % or more under noise of 0.6, or of 20 % or more under inversion, which would show that the explanation is wrong.",
  setting:
    "784-100-100-100-10 with ReLU, learning rate 0.1, batch 128, 700 steps, on clean images; all test images through six cameras. Statistics recomputed from 2 to 1,000 training images seen through the same camera. About 0.9 million training samples.",
  shows: "What part of the damage of a new camera sits in the running statistics, and how few images mend it.",
  doesNotShow:
    "That adaptation is safe: from images of one class it harms, as is reported; nor how real cameras differ, which is not one affine map.",
  formulas: ["BN\\bigl(W(ax + b\\mathbf 1)\\bigr) = BN(Wx),\\quad a > 0,\\ \\varepsilon = 0"],
  exploratory: "washed out 38.2 % to 96.6, contrast 77.4 to 96.6, noise 0.6 61.0 to 66.0, inverted 4.4 to 1.9; clean 97.0",
  backend: "wasm",
  changes: [],
  jobs: ({ mode, seeds }) =>
    seeds.flatMap((seed) =>
      (["batch", "none"] as const).map((norm) => ({ key: keyOf(norm, seed), params: { norm, seed, steps: STEPS[mode] } })),
    ),
  run({ norm, seed, steps }, sets) {
    const model = buildMlp(seed, { norm });
    trainModel(model, { set: sets.train, seed, lr: 0.1, steps });
    model.eval();
    const lens = new Lens(model, sets, seed);
    const old = lens.accuracies();
    if (norm === "none") return { old, recomputed: null, curve: null, oneClass: null, logits: null };
    const drawn = randomFor("E10", seed, "subset").permutation(sets.train.count);
    const after = (indices: Indices, camera: Camera) => lens.withStatistics(indices, camera, () => lens.accuracy(camera));
    const many = drawn.slice(0, ALL);
    const recomputed = Object.fromEntries(NAMES.map((camera) => [camera, after(many, camera)])) as Record<Camera, number>;
    const zeros = allIndices(sets.train.count)
      .filter((i) => sets.train.labels[i] === 0)
      .slice(0, ALL);
    const outputs = (camera: Camera) => lens.withStatistics(many, camera, () => lens.logits(camera));
    const clean = outputs("clean");
    const farthest = (camera: Camera) => outputs(camera).reduce((most, y, i) => Math.max(most, Math.abs(y - clean[i]!)), 0);
    return {
      old,
      recomputed,
      curve: COUNTS.map((count) => after(drawn.slice(0, count), "washed")),
      oneClass: after(zeros, "washed"),
      logits: Math.max(farthest("washed"), farthest("contrast")),
    };
  },
  conclude({ seeds }, done) {
    const results = seeds.map((seed) => done.get(keyOf("batch", seed))!);
    const plain = seeds.map((seed) => done.get(keyOf("none", seed))!.old);
    const recovery = (camera: Camera) =>
      results.map(({ old, recomputed }) => (recomputed![camera] - old[camera]) / (old.clean - old[camera])).map((x) => 100 * x);
    const judged = (camera: Camera) => ({
      ...interval(recovery(camera)),
      name: `recovered of the accuracy lost: ${CAMERAS[camera].label}`,
      unit: "%",
      values: recovery(camera),
    });
    const [washed, contrast, noise, invert] = (["washed", "contrast", "noise6", "invert"] as const).map(judged);
    const verdicts = {
      washed: above(washed!, 80),
      contrast: above(contrast!, 80),
      noise: below(noise!, 50),
      invert: below(invert!, 20),
      logits: everySeed(results.map(({ logits }) => logits! < 1e-2)),
    };
    const logits = results.map((result) => result.logits!);
    const oneClass = results.map((result) => result.oneClass!);
    return {
      metrics: [
        { ...washed!, role: "primary", criterion: "interval above 80", verdict: verdicts.washed },
        { ...contrast!, role: "control", criterion: "interval above 80", verdict: verdicts.contrast },
        { ...noise!, role: "control", criterion: "interval below 50", verdict: verdicts.noise },
        { ...invert!, role: "control", criterion: "interval below 20", verdict: verdicts.invert },
        {
          ...interval(logits),
          name: "largest difference of logits to clean images, statistics of the same images",
          unit: "",
          role: "control",
          criterion: "below 1e-2 for every seed",
          verdict: verdicts.logits,
          values: logits,
        },
        exploratory("accuracy on washed-out images, statistics of 1,000 zeros", "%", oneClass),
        exploratory(
          "accuracy on washed-out images, old statistics",
          "%",
          results.map(({ old }) => old.washed),
        ),
        exploratory(
          "accuracy on washed-out images, no normalization",
          "%",
          plain.map(({ washed }) => washed),
        ),
      ],
      verdict: allOf(verdicts.washed, verdicts.contrast, verdicts.noise, verdicts.invert, verdicts.logits),
      finding: `Washed-out images are answered rightly in ${mean(results.map(({ old }) => old.washed)).toFixed(1)} % with old and ${mean(results.map(({ recomputed }) => recomputed!.washed)).toFixed(1)} % with recomputed statistics (clean: ${mean(results.map(({ old }) => old.clean)).toFixed(1)} %). Statistics from zeros alone give ${mean(oneClass).toFixed(1)} %.`,
      figures: [
        {
          kind: "dots",
          name: "e10-cameras",
          title: "Accuracy through six cameras",
          description:
            "Test accuracy for each camera: without normalization, with the running statistics of training, and with statistics recomputed from 1,000 images of that camera.",
          caption: `All test images, networks of ${seeds.length} seeds; bars are 95 % intervals of the mean.`,
          x: { label: "test accuracy, %" },
          rows: NAMES.flatMap((camera) => {
            const group = CAMERAS[camera].label;
            return [
              dotsRow(
                "none",
                "plain",
                plain.map((old) => old[camera]),
                group,
              ),
              dotsRow(
                "BatchNorm, old statistics",
                "batch-norm",
                results.map(({ old }) => old[camera]),
                group,
              ),
              dotsRow(
                "BatchNorm, recomputed",
                "other",
                results.map(({ recomputed }) => recomputed![camera]),
                group,
              ),
            ];
          }),
          rules: [],
        },
        {
          kind: "lines",
          name: "e10-images",
          title: "How few images mend the statistics",
          description: "Test accuracy on washed-out images against the number of images from which statistics were recomputed.",
          caption: `Mean of ${seeds.length} seeds, band from the least to the largest; images without labels, drawn at random. The rule is the mean accuracy with the old statistics.`,
          x: { label: "images for the statistics", log: true },
          y: { label: "test accuracy, %" },
          series: [
            {
              label: NORM_LABELS.batch,
              role: "batch-norm",
              points: COUNTS.map((count, i) =>
                bandPoint(
                  count,
                  results.map(({ curve }) => curve![i]!),
                ),
              ),
            },
          ],
          rules: [{ axis: "y", value: mean(results.map(({ old }) => old.washed)), label: "old statistics" }],
        },
      ],
    };
  },
});

/** A network and its test images, seen through cameras. */
class Lens {
  private readonly loaders;

  constructor(
    private readonly model: Sequential,
    private readonly sets: JobContext,
    private readonly seed: number,
  ) {
    const of = (set: JobContext["train"]) => new DataLoader(set, { batchSize: 500, flatten: true });
    this.loaders = { train: of(sets.train), test: of(sets.test) };
  }

  accuracies(): Record<Camera, number> {
    return Object.fromEntries(NAMES.map((camera) => [camera, this.accuracy(camera)])) as Record<Camera, number>;
  }

  /** Share of right answers in evaluation mode, in %. The noise is the same each time. */
  accuracy(camera: Camera): number {
    const { test } = this.sets;
    let right = 0;
    this.forEach(camera, (y, indices) => {
      const said = argmax(y).data();
      for (const [row, index] of indices.entries()) right += Number(said[row] === test.labels[index]);
    });
    return (100 * right) / test.count;
  }

  /** Of the first 500 test images. */
  logits(camera: Camera): Float64Array {
    return tidy(() => noGrad(() => Float64Array.from(this.model.call(this.seen("test", allIndices(500), camera)).data())));
  }

  /** Runs `fn` with the statistics of some training images seen through the camera; afterwards they are the old ones again. */
  withStatistics<T>(indices: Indices, camera: Camera, fn: () => T): T {
    const layers = [...this.model].filter((layer) => layer instanceof BatchNorm1d);
    const momenta = layers.map(({ momentum }) => momentum);
    for (const layer of layers) {
      layer.use(TARGET).resetRunningStats();
      layer.momentum = null;
    }
    this.model.train();
    manualSeed(this.seed);
    tidy(() => noGrad(() => void this.model.call(this.seen("train", indices, camera))));
    this.model.eval();
    const result = fn();
    for (const [i, layer] of layers.entries()) layer.use().momentum = momenta[i]!;
    return result;
  }

  private forEach(camera: Camera, fn: (y: Tensor, indices: Indices) => void): void {
    manualSeed(this.seed);
    for (const indices of this.loaders.test.epoch(0)) {
      tidy(() => noGrad(() => fn(this.model.call(this.seen("test", indices, camera)), indices)));
    }
  }

  private seen(part: "train" | "test", indices: Indices, camera: Camera): Tensor {
    const { a, b, noise } = CAMERAS[camera];
    const x = this.loaders[part].tensors(indices).inputs.mul(a).add(b);
    return noise === 0 ? x : x.add(normal(x.shape, 0, noise));
  }
}
