import { beforeEach, describe, expect, it } from "vitest";
import { init, manualSeed, nn, noGrad, normal, type Tensor, tensor, uniform } from "../../src/index.js";
import { trainEvalGap } from "../../src/instruments/index.js";
import { backends, expectClose, norm } from "./support.js";

/** A layer with these running values. */
function layerWith(mean: number[], variance: number[], options: nn.BatchNormLayerOptions = {}) {
  const bn = new nn.BatchNorm1d(mean.length, { affine: false, ...options });
  bn.runningMean!.backend.write(bn.runningMean!.storage, mean);
  bn.runningVar!.backend.write(bn.runningVar!.storage, variance);
  return bn;
}

/** Root mean square difference of a layer's outputs in training and evaluation mode, by running it. */
function byRunning(layer: nn.BatchNorm, x: Tensor): number {
  return noGrad(() => {
    const inTraining = nn.withoutStatsUpdate(() => layer.train().forward(x));
    const difference = Array.from(inTraining.sub(layer.eval().forward(x)).data());
    return norm(difference) / Math.sqrt(difference.length);
  });
}

describe.each(backends)("on %s", (backend, tolerance) => {
  beforeEach(() => init({ backend }));

  it(`of running values set by hand, every number is the one by hand, within ${tolerance}`, () => {
    // Channel 0: mean 2, variance 1; channel 1: mean 0, variance 4.
    const x = tensor([
      [1, 2],
      [3, -2],
      [1, -2],
      [3, 2],
    ]);
    const bn = layerWith([1, 0], [4, 1], { eps: 0.5 });
    const { layers, output } = trainEvalGap(new nn.Sequential(bn), x);
    const [got] = layers;
    expect([layers.length, got!.name, got!.count]).toEqual([1, "0", 4]);
    expectClose(got!.channels.mean, [1 / Math.sqrt(4.5), 0], tolerance);
    const logVariance = [Math.log(1.5 / 4.5), Math.log(4.5 / 1.5)];
    expectClose(got!.channels.logVariance, logVariance, tolerance);
    expectClose([got!.meanGap, got!.logVarianceRatio], [Math.sqrt(1 / 4.5 / 2), 0], tolerance);
    const { gap, meanGap, logVariance: noise } = got!.expected;
    expectClose([gap, meanGap, noise], [Math.sqrt(1 / 4 + 1 / 6), 0.5, Math.sqrt(2 / 3)], tolerance);
    const byHand = ([m, v]: number[], [rm, rv]: number[]) =>
      [-1, 1].map((z) => (z * Math.sqrt(v!)) / Math.sqrt(v! + 0.5) - (m! + z * Math.sqrt(v!) - rm!) / Math.sqrt(rv! + 0.5));
    const wanted = norm([...byHand([2, 1], [1, 4]), ...byHand([0, 4], [0, 1])]) / 2;
    expectClose([got!.gap, output.rms], [wanted, wanted], tolerance);
  });

  it(`the gap of a layer is what running it in both modes gives, within ${4 * tolerance}, at an offset of 1000 too`, () => {
    manualSeed(1);
    for (const offset of [0, 1000]) {
      const x = normal([32, 5], offset, 3);
      const bn = layerWith([offset, offset + 1, offset, offset - 4, offset], [9, 9, 4, 20, 0.5]);
      const [got] = trainEvalGap(bn, x).layers;
      expectClose(got!.gap, byRunning(bn, x), 4 * tolerance);
      expect(got!.gap).toBeGreaterThan(0.5);
    }
  });

  it(`images have N · H · W values per channel, and a layer is compared on its input in evaluation mode, within ${10 * tolerance}`, () => {
    manualSeed(2);
    const model = new nn.Sequential(new nn.Conv2d(2, 3, 3), new nn.BatchNorm2d(3), new nn.Tanh(), new nn.BatchNorm2d(3));
    const x = normal([4, 2, 6, 6]);
    const [first, second] = trainEvalGap(model, x).layers;
    expect([first!.name, second!.name, first!.count]).toEqual(["1", "3", 64]);
    model.eval();
    const input = model.at(0).call(x);
    const further = model.at(2).call(model.at(1).call(input));
    expectClose(first!.gap, byRunning(model.at(1) as nn.BatchNorm, input), 10 * tolerance);
    expectClose(second!.gap, byRunning(model.at(3) as nn.BatchNorm, further), 10 * tolerance);
  });
});

describe("trainEvalGap", () => {
  beforeEach(() => init());

  it("of running values that are the batch's own is 0 within 1e-6, and of a fresh layer on normal input what chance gives, within a third", () => {
    manualSeed(3);
    const x = normal([64, 200]);
    const { layers } = trainEvalGap(new nn.BatchNorm1d(200, { affine: false }), x);
    const [{ gap, meanGap, expected, channels }] = layers as [(typeof layers)[0]];
    expect(gap / expected.gap).toBeGreaterThan(2 / 3);
    expect(gap / expected.gap).toBeLessThan(4 / 3);
    expect(Math.abs(meanGap / expected.meanGap - 1)).toBeLessThan(1 / 3);
    const spread = norm(channels.logVariance) / Math.sqrt(200);
    expect(Math.abs(spread / expected.logVariance - 1)).toBeLessThan(1 / 3);
    const exact = new nn.BatchNorm1d(200, { momentum: 1, unbiasedRunningVar: false });
    exact.call(x);
    expect(trainEvalGap(exact, x).layers[0]!.gap).toBeLessThan(1e-6);
  });

  it("the output's difference is that of all layers by the batch against all by running values, with dropout off", () => {
    manualSeed(4);
    const model = new nn.Sequential(
      new nn.Linear(4, 8),
      new nn.BatchNorm1d(8),
      new nn.Dropout(0.5),
      new nn.ReLU(),
      new nn.Linear(8, 3),
    );
    const x = normal([10, 4], 1, 5);
    const { output } = trainEvalGap(model, x);
    expect(model.training && model.at(2).training).toBe(true);
    const run = (batchStatistics: boolean) => {
      model.eval();
      model.at(1).train(batchStatistics);
      const y = noGrad(() => nn.withoutStatsUpdate(() => model.call(x)));
      const rows = y.toArray() as number[][];
      return { values: rows.flat(), classes: rows.map((row) => row.indexOf(Math.max(...row))) };
    };
    const [a, b] = [run(true), run(false)];
    const difference = norm(a.values.map((v, i) => v - b.values[i]!));
    expectClose([output.rms, output.relative], [difference / Math.sqrt(30), difference / norm(b.values)], 1e-6);
    expect(output.disagreement).toBe(a.classes.filter((c, i) => c !== b.classes[i]).length / 10);
    expect(output.disagreement).toBeGreaterThan(0);
  });

  it("leaves out layers that are frozen or keep no running values, and counts a layer that runs twice twice", () => {
    const twice = new nn.BatchNorm1d(4);
    const model = new nn.Sequential(
      twice,
      new nn.BatchNorm1d(4).freeze(),
      new nn.BatchNorm1d(4, { trackRunningStats: false }),
      twice,
    );
    expect(trainEvalGap(model, uniform([8, 4])).layers.map(({ name }) => name)).toEqual(["0", "0"]);
    expect(() => trainEvalGap(new nn.Sequential(new nn.Linear(4, 4)), uniform([8, 4]))).toThrow(
      "trainEvalGap: expected batch-norm layers that use running values in evaluation and not in training, got none.",
    );
  });

  it("a batch of one example fails as in training, and leaves modes and hooks as they were", () => {
    const bn = new nn.BatchNorm1d(4);
    expect(() => trainEvalGap(bn, uniform([1, 4]))).toThrow("Expected more than 1 value per channel when training");
    expect([bn.training, bn.hasHooks, bn.numBatchesTracked!.item()]).toEqual([true, false, 0]);
  });
});
