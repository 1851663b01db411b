import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { parseTrainConfig } from "../../src/train/config.js";

const good = {
  data: { type: "moons" },
  network: [{ type: "linear", out: 8 }, { type: "batchNorm" }, { type: "relu" }, { type: "linear", out: 2 }],
  optimizer: { type: "sgd", lr: 0.1 },
  epochs: 2,
};

describe("parseTrainConfig", () => {
  test("fills in defaults", () => {
    const config = parseTrainConfig(JSON.stringify(good));
    expect(config).toMatchObject({ batchSize: 64, seed: 0, validation: 0.1, labelSmoothing: 0, data: { count: 1000 } });
  });

  test("reads the example in the repository", () => {
    const text = readFileSync(new URL("../../examples/lenet.json", import.meta.url), "utf8");
    expect(parseTrainConfig(text).network).toHaveLength(10);
  });

  test.each([
    ["{", /^net\.json: expected JSON, got text that does not parse/],
    [JSON.stringify({ ...good, epochs: 0 }), /^net\.json: at epochs: Too small/],
    [
      JSON.stringify({ ...good, network: [{ type: "linear", out: "8" }] }),
      /^net\.json: at network\[0\]\.out: Invalid input: expected number/,
    ],
    [
      JSON.stringify({ ...good, network: [{ type: "relu", slope: 1 }] }),
      /^net\.json: at network\[0\]: Unrecognized key: "slope"/,
    ],
    [
      JSON.stringify({ ...good, network: [{ type: "residual", branch: [{ type: "batchNorm", eps: -1 }] }] }),
      /^net\.json: at network\[0\]\.branch\[0\]\.eps: Too small/,
    ],
    [JSON.stringify({ ...good, network: [] }), /^net\.json: at network: Too small/],
    [JSON.stringify({ ...good, batchSise: 3 }), /^net\.json: at the top level: Unrecognized key: "batchSise"/],
    [JSON.stringify({ ...good, optimizer: { type: "sgd" } }), /^net\.json: at optimizer\.lr: Invalid input/],
  ])("%s is refused with file and place", (text, message) => {
    expect(() => parseTrainConfig(text, "net.json")).toThrow(message);
  });
});
