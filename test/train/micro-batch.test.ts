import { afterAll, describe, expect, it } from "vitest";
import { data, init, manualSeed, nn, optim } from "../../src/index.js";
import { fit } from "../../src/train/fit.js";
import { outside } from "../fixtures/compare.js";

afterAll(() => init());

/** Losses and final state of two epochs on two moons. */
async function run(microBatch?: number) {
  await init({ backend: "reference" });
  manualSeed(3);
  const model = new nn.Sequential(
    new nn.Linear(2, 9),
    new nn.BatchNorm1d(9),
    new nn.Tanh(),
    new nn.Residual(new nn.Sequential(new nn.Linear(9, 9), new nn.BatchNorm1d(9), new nn.ReLU())),
    new nn.Linear(9, 2),
  );
  const train = new data.DataLoader(data.twoMoons({ count: 90, seed: 1 }), { batchSize: 32, seed: 5, shuffle: true });
  const optimizer = new optim.SGD(model.parameters(), { lr: 0.1, momentum: 0.9 });
  const history = await fit(model, { train, optimizer, epochs: 2, ...(microBatch === undefined ? {} : { microBatch }) });
  return { losses: history.losses, state: [...model.stateDict().values()].flatMap((t) => [...t.data()]) };
}

describe("fit with microBatch", () => {
  it.each([8, 10, 31, 64])(
    "%d: six steps give losses and state of whole batches within 1e-10 in float64, odd parts included",
    async (size) => {
      const [whole, parts] = [await run(), await run(size)];
      expect(outside("losses", parts.losses, whole.losses, 1e-10)).toBeNull();
      expect(outside("state", parts.state, whole.state, 1e-10)).toBeNull();
    },
  );

  it("refuses what is no positive integer before the first step", async () => {
    await expect(run(0)).rejects.toThrow("fit: expected microBatch to be a positive integer, got 0.");
  });
});
