import { afterAll, describe, expect, test } from "vitest";
import { gradcheck, gradgradcheck } from "../../src/autograd/gradcheck.js";
import { opNames } from "../../src/autograd/op.js";
import { BackendError, GradientError } from "../../src/core/errors.js";
import { withBackend } from "../../src/engine/current.js";
import { ReferenceBackend } from "../../src/engine/reference/backend.js";
import * as ops from "../../src/ops/index.js";
import { tensor } from "../../src/tensor/create.js";
import { tidy } from "../../src/tensor/scope.js";
import type { GradState, Tensor } from "../../src/tensor/tensor.js";
import { makeInputs, type Sample } from "./samples/sample.js";
import { samples } from "./samples.js";

const reference = new ReferenceBackend();
afterAll(() => reference.dispose());

/** Ops whose gradient is 0 almost everywhere. */
const flat = ["greater", "greaterEqual", "equal", "sign"];
/** Ops that compute their inputs' graph anew in the backward pass: no second derivatives. */
const withoutSecond = ["checkpoint"];

/** Names of the ops behind a value. */
function opsBehind(y: Tensor): Set<string> {
  const names = new Set<string>();
  const open: GradState[] = [y.gradState];
  for (let state = open.pop(); state !== undefined; state = open.pop()) {
    const node = state.node as { name: string; edges: readonly GradState[] } | null;
    if (node === null) continue;
    names.add(node.name);
    open.push(...node.edges);
  }
  return names;
}

const run = (s: Sample, check: (call: Sample["call"], inputs: Tensor[]) => unknown) =>
  withBackend(reference, () => tidy(() => void check(s.call, makeInputs(s.inputs))));

/** Samples that do not pass, with the reason. */
function failures(list: readonly Sample[], check: (call: Sample["call"], inputs: Tensor[]) => unknown): string[] {
  return list.flatMap((s) => {
    try {
      run(s, check);
      return [];
    } catch (error) {
      return [`${s.title}: ${error}`];
    }
  });
}

test("every op has samples, and every sample an op", () => {
  expect(Object.keys(samples).sort()).toEqual([...opNames].sort());
  expect(Object.entries(samples).filter(([, list]) => list.length === 0)).toEqual([]);
});

describe.each(opNames.map((name) => ({ name, list: samples[name] ?? [] })))("$name", ({ name, list }) => {
  test("is what its samples call", () => {
    const missed = list.filter((s) =>
      withBackend(reference, () => tidy(() => !opsBehind(s.call(...makeInputs(s.inputs))).has(name))),
    );
    expect(missed.map((s) => s.title)).toEqual([]);
  });

  test("has gradients within 1e-6 of difference quotients, recorded or not", () => {
    expect(failures(list, (call, inputs) => gradcheck(call, inputs, { who: name }))).toEqual([]);
    const recorded = (call: Sample["call"], inputs: Tensor[]) => gradcheck(call, inputs, { who: name, createGraph: true });
    if (!withoutSecond.includes(name)) expect(failures(list, recorded)).toEqual([]);
  });

  if (flat.includes(name)) {
    test("has gradients of exactly 0", () => {
      expect(failures(list, (call, inputs) => expect(gradcheck(call, inputs).gradient).toBe(0))).toEqual([]);
    });
  }

  if (withoutSecond.includes(name)) {
    test("refuses second derivatives with a GradientError", () => {
      const refused = failures(list, gradgradcheck);
      expect(refused).toHaveLength(list.length);
      for (const text of refused)
        expect(text).toMatch(/GradientError: \w+: has no derivative of its own, which createGraph would need\./);
    });
  } else {
    test("has second derivatives within 1e-6 of difference quotients", () => {
      expect(failures(list, (call, inputs) => gradgradcheck(call, inputs, { who: name }))).toEqual([]);
    });
  }
});

describe("gradcheck itself", () => {
  const at = (values: number[], requiresGrad = true) => tensor(values, [values.length], { requiresGrad });
  const onReference = <T>(fn: () => T): T => withBackend(reference, () => tidy(fn));

  test("reports the largest error, its place and both numbers", () => {
    const report = onReference(() => gradcheck((x) => x!.square(), [at([1, 3])]));
    expect(report.largestError).toBeLessThan(1e-8);
    // A random direction and the two outputs, for each of two inputs.
    expect(report.compared).toBe(6);
    expect(Math.abs(report.gradient - report.difference)).toBeLessThan(1e-8 * 6);
  });

  test("finds a wrong gradient and names input, index and both numbers", () => {
    // x·y with y held constant by detach: the gradient of y is missing.
    const wrong = (x: Tensor, y: Tensor) => ops.mul(x, y.detach()).sum();
    expect(() => onReference(() => gradcheck(wrong as Sample["call"], [at([2, 3]), at([4, 5])], { who: "mul" }))).toThrow(
      GradientError,
    );
    expect(() => onReference(() => gradcheck(wrong as Sample["call"], [at([2, 3]), at([4, 5])], { who: "mul" }))).toThrow(
      /^mul: the gradient of input 1 \[2\] at index 0 is 0, the difference quotient [-\d.]+: the error [\d.]+ is above 0\.000001\.$/,
    );
  });

  test("sees through a function that closes over its inputs", () => {
    expect(() =>
      onReference(() => {
        const x = at([2, 3]);
        gradcheck(() => ops.mul(x, x.detach()).sum(), [x]);
      }),
    ).toThrow(GradientError);
  });

  test("refuses a gradient that is not a number", () => {
    expect(() => onReference(() => gradcheck((x) => x!.sqrt(), [at([0])]))).toThrow(GradientError);
  });

  test("leaves values and gradients of the inputs as they were", () => {
    onReference(() => {
      const x = at([1.25, -3]);
      gradcheck((t) => t!.exp(), [x]);
      expect([...x.data()]).toEqual([1.25, -3]);
      expect(x.grad).toBeNull();
    });
  });

  test("finds a wrong second derivative behind a right first one", () => {
    // 2dx − d² is x² and its derivative 2d is 2x, but with d held constant it ends there.
    const half = (x: Tensor) => x.mul(x.detach()).mul(2).sub(x.detach().square());
    expect(onReference(() => gradcheck(half as Sample["call"], [at([2])])).largestError).toBeLessThan(1e-6);
    expect(() => onReference(() => gradgradcheck(half as Sample["call"], [at([2])], { who: "half" }))).toThrow(
      /^half: the gradient of input 0 \[1\] at index 0 is 0, the difference quotient /,
    );
  });

  test("refuses float32 tensors and inputs that ask for no gradient", () => {
    const x = at([1]);
    expect(() => gradcheck((t) => t!.exp(), [x])).toThrow(
      new BackendError(
        'gradcheck: expected tensors of the float64 reference backend, got one of "wasm" [1]: call init({ backend: "reference" }) before they are made.',
      ),
    );
    x.dispose();
    expect(() => onReference(() => gradcheck((t) => t!.exp(), [at([1], false)]))).toThrow(
      new GradientError("gradcheck: expected at least one input that requires grad, got none."),
    );
  });
});
