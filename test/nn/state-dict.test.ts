import { describe, expect, it } from "vitest";
import { StateDictError } from "../../src/core/errors.js";
import { withBackend } from "../../src/engine/current.js";
import { ReferenceBackend } from "../../src/engine/reference/backend.js";
import * as nn from "../../src/nn/index.js";
import { full, tensor, uniform, zeros } from "../../src/tensor/create.js";
import type { Tensor } from "../../src/tensor/tensor.js";

const build = () => new nn.Sequential(new nn.Linear(4, 3), new nn.BatchNorm1d(3), new nn.ReLU());

/** A trained model's state, and all its values. */
function trained(): Map<string, Tensor> {
  const model = build();
  for (let i = 0; i < 3; i++) model.call(uniform([8, 4], -1, 2));
  return model.stateDict();
}

const valuesOf = (model: nn.Module) => [...model.stateDict()].map(([key, t]) => [key, [...t.data()]]);

/** Loads and returns the message of the error, having checked that nothing changed. */
function refusal(state: Map<string, Tensor>, options?: { strict?: boolean }, model: nn.Module = build()): string {
  const before = valuesOf(model);
  let message = "";
  try {
    model.loadStateDict(state, options);
  } catch (error) {
    expect(error).toBeInstanceOf(StateDictError);
    message = (error as Error).message;
  }
  expect(message).not.toBe("");
  expect(valuesOf(model)).toEqual(before);
  return message;
}

describe("stateDict", () => {
  it("has PyTorch's keys in PyTorch's order", () => {
    expect([...trained().keys()]).toEqual([
      "0.weight",
      "0.bias",
      "1.weight",
      "1.bias",
      "1.running_mean",
      "1.running_var",
      "1.num_batches_tracked",
    ]);
  });

  it("shows the module's own memory, as constants that may be disposed of", () => {
    const layer = new nn.Linear(2, 2);
    const state = layer.stateDict();
    nn.init.constant(layer.weight, 7);
    expect([...state.get("weight")!.data()]).toEqual([7, 7, 7, 7]);
    expect(state.get("weight")!.requiresGrad).toBe(false);
    for (const t of state.values()) t.dispose();
    expect(layer.weight.data()[0]).toBe(7);
  });
});

describe("loadStateDict", () => {
  it("copies every value exactly, into the same tensors, so that an optimizer keeps its references", () => {
    const state = trained();
    const model = build();
    const parameters = model.parameters();
    const storages = parameters.map((p) => p.storage);
    expect(model.loadStateDict(state)).toEqual({ missingKeys: [], unexpectedKeys: [] });
    expect(valuesOf(model)).toEqual([...state].map(([key, t]) => [key, [...t.data()]]));
    expect(model.parameters()).toEqual(parameters);
    expect(parameters.map((p) => p.storage)).toEqual(storages);
    const x = uniform([5, 4]);
    const source = build();
    source.loadStateDict(state);
    expect([...model.eval().call(x).data()]).toEqual([...source.eval().call(x).data()]);
  });

  it("lists all missing and all unexpected keys in one error and loads nothing", () => {
    const state = trained();
    state.delete("0.bias");
    state.delete("1.running_mean");
    state.set("module.0.bias", zeros([3]));
    expect(refusal(state)).toBe(
      'Sequential.loadStateDict: Missing key(s) in state_dict: "0.bias", "1.running_mean". ' +
        'Unexpected key(s) in state_dict: "module.0.bias". Nothing was loaded.',
    );
  });

  it("names the key of a wrong shape and of a wrong dtype, even if not strict", () => {
    const state = trained();
    state.set("0.weight", zeros([3, 5]));
    state.set("1.num_batches_tracked", full([], 3));
    for (const strict of [true, false]) {
      expect(refusal(state, { strict })).toBe(
        "Sequential.loadStateDict: size mismatch for 0.weight: expected [3, 4], got [3, 5]. " +
          "dtype mismatch for 1.num_batches_tracked: expected int32, got float32. Nothing was loaded.",
      );
    }
  });

  it("refuses a negative running_var and names key, value and channel", () => {
    const state = trained();
    state.set("1.running_var", tensor([1, -0.5, 2]));
    expect(refusal(state)).toBe(
      "Sequential.loadStateDict: 1.running_var: expected variances of at least 0, got -0.5 for channel 1. Nothing was loaded.",
    );
  });

  it("a missing num_batches_tracked is no error and leaves the module's own count", () => {
    const state = trained();
    state.delete("1.num_batches_tracked");
    const model = build();
    model.call(uniform([8, 4]));
    expect(model.loadStateDict(state).missingKeys).toEqual([]);
    expect((model.at(1) as nn.BatchNorm1d).numBatchesTracked!.item()).toBe(1);
    expect([...(model.at(1) as nn.BatchNorm1d).runningMean!.data()]).toEqual([...state.get("1.running_mean")!.data()]);
  });

  it("strict: false loads what fits and reports the rest", () => {
    const state = trained();
    state.delete("0.bias");
    state.set("head.weight", zeros([1]));
    const model = build();
    const bias = [...(model.at(0) as nn.Linear).bias!.data()];
    expect(model.loadStateDict(state, { strict: false })).toEqual({ missingKeys: ["0.bias"], unexpectedKeys: ["head.weight"] });
    expect([...(model.at(0) as nn.Linear).bias!.data()]).toEqual(bias);
    expect([...(model.at(0) as nn.Linear).weight.data()]).toEqual([...state.get("0.weight")!.data()]);
  });

  it("statistics on one side only are refused, in both directions", () => {
    const tracked = new nn.BatchNorm1d(3);
    const untracked = new nn.BatchNorm1d(3, { trackRunningStats: false });
    expect(refusal(tracked.stateDict(), {}, untracked)).toContain(
      'Unexpected key(s) in state_dict: "running_mean", "running_var", "num_batches_tracked".',
    );
    expect(refusal(untracked.stateDict(), {}, tracked)).toContain('Missing key(s) in state_dict: "running_mean", "running_var".');
  });

  it("takes tensors of another backend", () => {
    const state = trained();
    const other = new ReferenceBackend();
    const model = withBackend(other, build);
    model.loadStateDict(state);
    expect(valuesOf(model)).toEqual([...state].map(([key, t]) => [key, [...t.data()]]));
    other.dispose();
  });
});
