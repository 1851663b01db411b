import { beforeAll, describe, expect, it } from "vitest";
import { noGrad } from "../../src/autograd/mode.js";
import { OptionError, TrainingError } from "../../src/core/errors.js";
import { DataLoader } from "../../src/data/loader.js";
import { blobs } from "../../src/data/synthetic.js";
import { init } from "../../src/engine/current.js";
import * as nn from "../../src/nn/index.js";
import { recalibrate } from "../../src/surgery/index.js";
import { normal, tensor, uniform } from "../../src/tensor/create.js";
import { manualSeed } from "../../src/tensor/random.js";
import type { Tensor } from "../../src/tensor/tensor.js";

beforeAll(() => init());

/** Mean and unbiased variance of each channel over all batches, by plain loops in float64. */
function pooledTruth(batches: readonly Tensor[], channels: number): { mean: number[]; variance: number[] } {
  const values: number[][] = Array.from({ length: channels }, () => []);
  for (const x of batches) {
    const space = x.size / (x.shape[0]! * channels);
    x.data().forEach((value, i) => void values[Math.floor(i / space) % channels]!.push(value));
  }
  const mean = values.map((list) => list.reduce((a, b) => a + b, 0) / list.length);
  const variance = values.map((list, c) => list.reduce((sum, v) => sum + (v - mean[c]!) ** 2, 0) / (list.length - 1));
  return { mean, variance };
}

const distance = (a: ArrayLike<number>, b: readonly number[]) =>
  Math.max(...b.map((value, i) => Math.abs(a[i]! - value) / Math.max(1, Math.abs(value))));

/** Batches of very unequal sizes and of different distributions. */
const unequal = (shape: readonly number[]) => [1, 40, 3, 17, 2].map((n, i) => normal([n, ...shape], i * 3 - 4, 0.2 + i));

describe("recalibrate", () => {
  it.each([
    ["dense", [3], () => new nn.BatchNorm1d(3)],
    ["images", [3, 5, 4], () => new nn.BatchNorm2d(3)],
    ["volumes", [3, 2, 3, 2], () => new nn.BatchNorm3d(3)],
    ["ghost batches", [3, 4], () => new nn.GhostBatchNorm(3, 4)],
    ["renormalized", [3], () => new nn.BatchRenorm(3)],
  ])("gives the pooled mean and variance of unequal batches within 1e-6: %s", (_, shape, make) => {
    manualSeed(1);
    const batches = unequal(shape);
    // One value per channel in a batch is fine here, where batches are pooled, but not for normalizing by the batch.
    const usable = shape.length === 1 ? batches.slice(1) : batches;
    const layer = make();
    const model = new nn.Sequential(layer);
    const { layers } = recalibrate(model, usable);
    const truth = pooledTruth(usable, 3);
    expect(distance(layer.runningMean!.data(), truth.mean)).toBeLessThan(1e-6);
    expect(distance(layer.runningVar!.data(), truth.variance)).toBeLessThan(1e-6);
    expect(layer.numBatchesTracked!.item()).toBe(usable.length);
    expect(layers).toMatchObject([{ path: "0", count: usable.reduce((sum, x) => sum + x.size / 3, 0) }]);
  });

  it("takes batches of one example where layers upstream run as in evaluation", () => {
    manualSeed(2);
    const layer = new nn.BatchNorm1d(3);
    const batches = [1, 1, 1, 5].map((n) => normal([n, 3]));
    recalibrate(new nn.Sequential(layer), batches, { upstream: "population" });
    expect(distance(layer.runningVar!.data(), pooledTruth(batches, 3).variance)).toBeLessThan(1e-6);
  });

  it("divides by n where the layer keeps biased variances", () => {
    const layer = new nn.BatchNorm1d(1, { unbiasedRunningVar: false });
    recalibrate(new nn.Sequential(layer), [tensor([[1], [2]], [2, 1]), tensor([[3], [6]], [2, 1])]);
    expect([layer.runningMean!.item(), layer.runningVar!.item()]).toEqual([3, 3.5]);
  });

  const deep = () => {
    manualSeed(7);
    return new nn.Sequential(
      new nn.Linear(4, 6),
      new nn.BatchNorm1d(6),
      new nn.ReLU(),
      new nn.Dropout(0.5),
      new nn.Linear(6, 5),
      new nn.BatchNorm1d(5),
      new nn.ReLU(),
      new nn.Linear(5, 3),
    );
  };

  it('with upstream "population", each layer\'s values are those of what it sees in evaluation, within 1e-6', () => {
    const model = deep();
    const batches = [2, 9, 31].map((n) => normal([n, 4], 1, 2));
    recalibrate(model, batches, { upstream: "population" });
    const seen: Tensor[] = [];
    const layer = model.at(5) as nn.BatchNorm1d;
    const remove = layer.registerForwardPreHook((_, [x]) => void seen.push(x!));
    noGrad(() => batches.map((x) => model.eval().call(x)));
    remove();
    const truth = pooledTruth(seen, 5);
    expect(distance(layer.runningMean!.data(), truth.mean)).toBeLessThan(1e-6);
    expect(distance(layer.runningVar!.data(), truth.variance)).toBeLessThan(1e-6);
  });

  it('with upstream "batch", each layer\'s values are pooled over what it sees in training without dropout, within 1e-6', () => {
    const model = deep();
    const batches = [4, 9, 31].map((n) => normal([n, 4], 1, 2));
    recalibrate(model, batches);
    const seen: Tensor[] = [];
    const layer = model.at(5) as nn.BatchNorm1d;
    const remove = layer.registerForwardPreHook((_, [x]) => void seen.push(x!));
    model.train().at(3).eval();
    noGrad(() => nn.withoutStatsUpdate(() => batches.map((x) => model.call(x))));
    remove();
    expect(distance(layer.runningVar!.data(), pooledTruth(seen, 5).variance)).toBeLessThan(1e-6);
  });

  /** All that must be as before: state, modes, momentum. */
  const everything = (model: nn.Module) => ({
    state: [...model.stateDict()].map(([key, t]) => [key, [...t.data()]]),
    modes: model.modules().map((m) => m.training),
    momentum: model.modules().map((m) => (m instanceof nn.BatchNorm ? m.momentum : null)),
    hooks: model.modules().map((m) => m.hasHooks),
  });

  it("changes nothing but running statistics: weights, modes, momentum and hooks stay (PyTorch's test_bn_update_eval_momentum)", () => {
    const model = deep().train();
    model.at(1).eval();
    (model.at(5) as nn.BatchNorm1d).momentum = null;
    const before = everything(model);
    recalibrate(model, [normal([8, 4]), normal([5, 4])]);
    const after = everything(model);
    expect({ ...after, state: [] }).toEqual({ ...before, state: [] });
    const moved = after.state.filter((entry, i) => JSON.stringify(entry) !== JSON.stringify(before.state[i]));
    expect(moved.map(([key]) => key)).toEqual(
      [1, 5].flatMap((i) => ["running_mean", "running_var", "num_batches_tracked"].map((name) => `${i}.${name}`)),
    );
  });

  it.each([
    [
      "an input that is not finite",
      () => [normal([8, 4]), tensor(new Float32Array(32).fill(NaN), [8, 4])],
      TrainingError,
      /finite inputs of layer "1", got NaN in channel 0/,
    ],
    ["a batch of the wrong shape at the end", () => [normal([8, 4]), normal([8, 5])], Error, /Linear/],
    ["no batch", () => [], OptionError, /at least one batch/],
  ])("leaves everything as it was after %s", (_, batches, type, message) => {
    const model = deep();
    const before = everything(model);
    const attempt = () => recalibrate(model, batches());
    expect(attempt).toThrow(type);
    expect(attempt).toThrow(message);
    expect(everything(model)).toEqual(before);
  });

  it("leaves frozen layers and layers without statistics alone, and says so", () => {
    const model = deep();
    (model.at(1) as nn.BatchNorm1d).freeze();
    const before = [...(model.at(1) as nn.BatchNorm1d).runningMean!.data()];
    const { left, layers } = recalibrate(model, [normal([8, 4], 3)]);
    expect([left, layers.map(({ path }) => path)]).toEqual([["1"], ["5"]]);
    expect([...(model.at(1) as nn.BatchNorm1d).runningMean!.data()]).toEqual(before);
    const untracked = new nn.Sequential(new nn.BatchNorm1d(4, { trackRunningStats: false }));
    expect(() => recalibrate(untracked, [normal([8, 4])])).toThrow("0 are frozen or keep none");
    expect(() => recalibrate(new nn.Sequential(new nn.Linear(4, 4)), [normal([8, 4])])).toThrow("has no batch normalization");
  });

  it("refuses patterns that name nothing, listing what there is", () => {
    expect(() => recalibrate(deep(), [normal([8, 4])], { layers: "layer*" })).toThrow('there are "1", "5"');
  });

  it("mends a network whose statistics are wrong, shows loss and accuracy, and with keepBetter takes back what is worse", () => {
    const set = blobs({ count: 300, classes: 3, seed: 5, noise: 0.3 });
    const heldOut = new DataLoader(set, { batchSize: 64 });
    manualSeed(3);
    const model = new nn.Sequential(new nn.BatchNorm1d(2), new nn.Linear(2, 3));
    const bn = model.at(0) as nn.BatchNorm1d;
    recalibrate(model, heldOut);
    const good = [...bn.runningMean!.data()];
    bn.runningVar!.backend.write(bn.runningVar!.storage, [1e-8, 1e-8]);
    const mended = recalibrate(model, heldOut, { heldOut, keepBetter: true });
    expect(mended.kept).toBe(true);
    expect(mended.after!.loss).toBeLessThan(mended.before!.loss);
    expect([...bn.runningMean!.data()]).toEqual(good);
    const worse = recalibrate(model, [uniform([50, 2], 1000, 2000)], { heldOut, keepBetter: true });
    expect(worse.kept).toBe(false);
    expect(worse.after!.loss).toBeGreaterThan(worse.before!.loss);
    expect([...bn.runningMean!.data()]).toEqual(good);
    expect(() => recalibrate(model, heldOut, { keepBetter: true })).toThrow("keepBetter needs heldOut");
  });
});
