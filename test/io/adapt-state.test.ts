import { describe, expect, it } from "vitest";
import { noGrad } from "../../src/autograd/mode.js";
import { StateDictError } from "../../src/core/errors.js";
import { adaptState, loadStored, type StoredState, type StoredTensor, storedState } from "../../src/io/index.js";
import * as nn from "../../src/nn/index.js";
import { uniform } from "../../src/tensor/create.js";
import { manualSeed } from "../../src/tensor/random.js";
import type { Tensor } from "../../src/tensor/tensor.js";

const floats = (values: ArrayLike<number>, shape: number[]): StoredTensor => ({
  dtype: "F32",
  shape,
  bytes: new Uint8Array(Float32Array.from(values).buffer),
});

/** Every key of a model's state under another name, or left out where that is null. */
function fileOf(model: nn.Module, rename: (key: string) => string | null = (key) => key): StoredState {
  const tensors = new Map<string, StoredTensor>();
  for (const [key, t] of storedState(model.stateDict())) {
    const name = rename(key);
    if (name !== null) tensors.set(name, t);
  }
  return { tensors, metadata: {} };
}

const dense = () => new nn.Sequential(new nn.Linear(3, 4), new nn.BatchNorm1d(4), new nn.Linear(4, 2));
const outputs = (model: nn.Module, x: Tensor) => [...noGrad(() => model.eval().call(x)).data()];

/** A model whose parameters and running statistics are moved away from where they start. */
function moved(model: nn.Sequential): nn.Sequential {
  const shape = model.at(0) instanceof nn.Linear ? [5, 3] : [5, 2, 4, 4];
  for (let i = 0; i < 3; i++) noGrad(() => model.train().call(uniform(shape)));
  for (const m of model.modules()) {
    if (m instanceof nn.BatchNorm) for (const p of m.parameters()) p.backend.write(p.storage, uniform(p.shape, 0.5, 1.5).data());
  }
  return model;
}

describe("adaptState from PyTorch", () => {
  it.each(["module.", "model.", "_orig_mod.", "_orig_mod.module."])("takes the prefix %s off all keys and says so", (prefix) => {
    const source = moved(dense());
    const target = dense();
    const { notes } = loadStored(
      target,
      fileOf(source, (key) => prefix + key),
    );
    expect(notes[0]).toMatch(/The prefix ".*" was taken off all 9 keys\./);
    const x = uniform([2, 3]);
    expect(outputs(target, x)).toEqual(outputs(source, x));
  });

  it("leaves a prefix that not all keys have, so that loading names the keys", () => {
    const file = fileOf(dense(), (key) => (key.startsWith("0") ? key : `module.${key}`));
    expect(() => loadStored(dense(), file)).toThrow(StateDictError);
    expect(() => loadStored(dense(), file)).toThrow('Unexpected key(s) in state_dict: "module.');
  });

  it("leaves prefixes that are the model's own", () => {
    class Wrapped extends nn.Module {
      readonly model = this.child("model", dense());
      forward(x: Tensor) {
        return this.model.call(x);
      }
    }
    expect(loadStored(new Wrapped(), fileOf(new Wrapped())).notes).toEqual([]);
  });

  it("does without counters, leaves those out that nobody counts with, and says both", () => {
    const missing = fileOf(dense(), (key) => (key.endsWith("num_batches_tracked") ? null : key));
    expect(loadStored(dense(), missing).notes).toEqual([expect.stringContaining("1 counter num_batches_tracked missing")]);
    const norm = (trackRunningStats: boolean) => new nn.Sequential(new nn.BatchNorm1d(2, { trackRunningStats }));
    const counted = fileOf(norm(true), (key) => (key.startsWith("0.running") ? null : key));
    expect(loadStored(norm(false), counted).notes).toEqual([expect.stringContaining("1 counter num_batches_tracked of layers")]);
  });

  it("takes [1, C, 1, 1] as the vector of C channels, but not [2, 2] as four", () => {
    const bn = () => new nn.BatchNorm2d(4);
    const wide = fileOf(bn());
    const shape = (s: number[]) => new Map(wide.tensors).set("weight", floats([1, 2, 3, 4], s));
    expect(loadStored(bn(), { ...wide, tensors: shape([1, 4, 1, 1]) }).notes).toEqual([
      expect.stringContaining("taken as vectors: weight"),
    ]);
    expect(() => loadStored(bn(), { ...wide, tensors: shape([2, 2]) })).toThrow("size mismatch for weight");
  });

  it("widens half precision exactly and rounds doubles, and says so", () => {
    const half: StoredTensor = { dtype: "F16", shape: [1], bytes: new Uint8Array(Uint16Array.of(0x3555).buffer) };
    const double: StoredTensor = { dtype: "F64", shape: [1], bytes: new Uint8Array(Float64Array.of(0.1).buffer) };
    const { state, notes } = adaptState(new nn.Linear(1, 1), {
      tensors: new Map([
        ["weight", half],
        ["bias", double],
      ]),
      metadata: {},
    });
    expect([...state.values()].map((t) => t.item())).toEqual([0.333251953125, Math.fround(0.1)]);
    expect(notes).toEqual(["1 tensor of F16 widened exactly to float32.", "1 tensor of F64 rounded to float32."]);
  });

  it("refuses a negative variance by name and loads nothing", () => {
    const bn = new nn.BatchNorm1d(2);
    const file = fileOf(bn);
    const bad = new Map(file.tensors).set("running_var", floats([1, -1], [2])).set("weight", floats([7, 7], [2]));
    expect(() => loadStored(bn, { ...file, tensors: bad })).toThrow(
      "running_var: expected variances of at least 0, got -1 for channel 1",
    );
    expect([...bn.weight!.data()]).toEqual([1, 1]);
  });
});

/** Convolution, batch normalization, flatten, dense, batch normalization. */
const image = () =>
  new nn.Sequential(
    new nn.Conv2d(2, 3, 3),
    new nn.BatchNorm2d(3, { eps: 1e-3, momentum: 0.01 }),
    new nn.ReLU(),
    new nn.Flatten(),
    new nn.Linear(12, 5),
    new nn.BatchNorm1d(5, { eps: 1e-3, momentum: 0.01, unbiasedRunningVar: false }),
    new nn.Linear(5, 2),
  );

/** The model as Keras or Flax keep it, written with loops over the definition of the layouts. */
function channelsLastFile(
  model: nn.Sequential,
  names: { conv: string; norm: [string, string, string, string]; dense: string; layer: (kind: string, k: number) => string },
): StoredState {
  const tensors = new Map<string, StoredTensor>();
  const counts: Record<string, number> = {};
  for (const m of model) {
    const kind = m instanceof nn.Conv2d ? names.conv : m instanceof nn.Linear ? names.dense : "norm";
    const k = counts[kind] ?? 0;
    counts[kind] = k + 1;
    const at = (name: string) => `${names.layer(kind, k)}/${name}`;
    if (m instanceof nn.Conv2d) {
      const w = m.weight.data();
      const out = new Float32Array(w.length);
      for (let o = 0; o < 3; o++)
        for (let i = 0; i < 2; i++)
          for (let u = 0; u < 3; u++)
            for (let v = 0; v < 3; v++) out[((u * 3 + v) * 2 + i) * 3 + o] = w[((o * 2 + i) * 3 + u) * 3 + v]!;
      tensors.set(at("kernel"), floats(out, [3, 3, 2, 3])).set(at("bias"), floats(m.bias!.data(), [3]));
    } else if (m instanceof nn.Linear) {
      const [w, rows, columns] = [m.weight.data(), m.inFeatures, m.outFeatures];
      const out = new Float32Array(w.length);
      for (let i = 0; i < rows; i++) {
        // Behind the image of 3 channels at 4 places, the first dense layer sees (place, channel).
        const from = rows === 12 ? (i % 3) * 4 + Math.floor(i / 3) : i;
        for (let o = 0; o < columns; o++) out[i * columns + o] = w[o * rows + from]!;
      }
      tensors.set(at("kernel"), floats(out, [rows, columns])).set(at("bias"), floats(m.bias!.data(), [columns]));
    } else if (m instanceof nn.BatchNorm) {
      const values = [m.weight!, m.bias!, m.runningMean!, m.runningVar!];
      for (const [i, t] of values.entries()) tensors.set(at(names.norm[i]!), floats(t.data(), [t.size]));
    }
  }
  return { tensors, metadata: {} };
}

describe("adaptState from channels-last frameworks", () => {
  it.each([
    [
      "keras",
      {
        conv: "conv2d",
        dense: "dense",
        norm: ["gamma", "beta", "moving_mean", "moving_variance"],
        layer: (kind: string, k: number) => (kind === "norm" ? "batch_normalization" : kind) + (k === 0 ? "" : `_${k}`),
      },
    ],
    [
      "flax",
      {
        conv: "Conv",
        dense: "Dense",
        norm: ["scale", "bias", "mean", "var"],
        layer: (kind: string, k: number) => `params/${kind === "norm" ? "BatchNorm" : kind}_${k}`,
      },
    ],
  ] as const)("loads a file of %s with the same outputs within 1e-6, and notes eps, momentum and order", (convention, names) => {
    manualSeed(2);
    const source = moved(image());
    const target = image();
    const file = channelsLastFile(source, { ...names, norm: [...names.norm] });
    const { notes } = loadStored(target, file, { convention });
    const x = uniform([3, 2, 4, 4]);
    expect(outputs(target, x)).toEqual(outputs(source, x).map((v) => expect.closeTo(v, 6)));
    const text = notes.join("\n");
    expect(text).toMatch(/matched in order: .*→ 0\./);
    expect(text).toMatch(/order \(place, channel\) into \(channel, place\)/);
    expect(text).toMatch(/these layers have 0\.001, (Keras's|Flax's) default is/);
    expect(text).toMatch(/keeps the biased variance/);
  });

  it("refuses another number of layers, naming those of the file", () => {
    const file = { tensors: new Map([["dense/kernel", floats([1, 2], [2, 1])]]), metadata: {} };
    expect(() => adaptState(dense(), file, { convention: "keras" })).toThrow(
      "expected 2 layers of kind Linear in the Keras file, got 1 (dense)",
    );
  });

  it("refuses shapes that do not belong together, naming both", () => {
    const file = { tensors: new Map([["dense/kernel", floats([1, 2], [2, 1])]]), metadata: {} };
    expect(() => adaptState(new nn.Linear(3, 1), file, { convention: "keras" })).toThrow(
      "expected [1, 3] for weight, got [1, 2] from dense",
    );
  });
});
