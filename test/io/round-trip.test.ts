import { writeFileSync } from "node:fs";
import { beforeAll, describe, expect, it } from "vitest";
import { noGrad } from "../../src/autograd/mode.js";
import { init } from "../../src/engine/current.js";
import { loadStored, readPt, readSafetensors, writeSafetensors } from "../../src/io/index.js";
import { crossEntropy } from "../../src/ops/index.js";
import { SGD } from "../../src/optim/index.js";
import { normal, tensor } from "../../src/tensor/create.js";
import { manualSeed } from "../../src/tensor/random.js";
import { pytorchFile, pytorchFolder, pytorchJson, pytorchNetwork } from "../fixtures/pytorch-network.js";

// The fixtures of the way to PyTorch are written by: UPDATE_FIXTURES=1 npx vitest run --project node test/io/round-trip.test.ts
// and put to the test by: python test/fixtures/check-evenkeel-file.py
const isUpdating = process.env.UPDATE_FIXTURES === "1";

// The plain build gives the same bits on every machine.
beforeAll(() => init({ deterministic: true }));

const largest = (a: ArrayLike<number>, b: ArrayLike<number>) => Math.max(...Array.from(a, (value, i) => Math.abs(value - b[i]!)));

describe("a network between PyTorch and evenkeel", () => {
  it.each([
    ["network.pt", readPt],
    ["network.safetensors", readSafetensors],
  ])("PyTorch's %s loads strictly, without a note, and gives its evaluation output within 1e-5", (name, read) => {
    const model = pytorchNetwork();
    const loaded = loadStored(model, read(pytorchFile(name), name));
    expect(loaded).toEqual({ missingKeys: [], unexpectedKeys: [], notes: [] });
    const { x, y } = pytorchJson("network.json");
    const out = noGrad(() => model.eval().call(tensor(x, [5, 1, 8, 8])));
    expect(largest(out.data(), y)).toBeLessThan(1e-5);
  });

  it("what is written here is, byte for byte, the file that check-evenkeel-file.py has loaded in PyTorch", () => {
    manualSeed(4);
    const model = pytorchNetwork();
    const optimizer = new SGD(model.parameters(), { lr: 0.1, momentum: 0.9 });
    for (let i = 0; i < 12; i++) {
      const x = normal([16, 1, 8, 8]).mul(1.5).add(0.5);
      optimizer.zeroGrad();
      crossEntropy(
        model.call(x),
        Int32Array.from({ length: 16 }, (_, k) => (k * 7 + i) % 3),
      ).backward();
      optimizer.step();
    }
    const x = normal([5, 1, 8, 8]);
    const y = noGrad(() => model.eval().call(x));
    const file = writeSafetensors(model.stateDict(), { format: "pt" });
    const json = `${JSON.stringify({ x: [...x.data()], y: [...y.data()] })}\n`;
    if (isUpdating) {
      writeFileSync(new URL("from-evenkeel.safetensors", pytorchFolder), file);
      writeFileSync(new URL("from-evenkeel.json", pytorchFolder), json);
    }
    expect(file).toEqual(pytorchFile("from-evenkeel.safetensors"));
    expect(json).toBe(new TextDecoder().decode(pytorchFile("from-evenkeel.json")));
  });
});
