import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Backend } from "../../src/engine/backend.js";
import { type KernelName, kernels } from "../../src/engine/kernels.js";
import { ReferenceBackend } from "../../src/engine/reference/backend.js";
import { createWasmBackend } from "../../src/engine/wasm/backend.js";
import { bitDifference, comparable, difference, toleranceOf } from "./compare.js";
import { type AnyCase, casesOf, runCase } from "./run.js";

const reference = new ReferenceBackend();
let one: Backend;
let three: Backend;
let plain: Backend;

beforeAll(async () => {
  one = await createWasmBackend({ threads: 1 });
  three = await createWasmBackend({ threads: 3 });
  plain = await createWasmBackend({ threads: 1, deterministic: true });
});

afterAll(() => {
  one?.dispose();
  three?.dispose();
  plain?.dispose();
  reference.dispose();
});

/** Where the wasm kernel differs from its definition, as lines of text. */
function failuresAgainstReference(backend: Backend, kernel: KernelName, example: AnyCase): string[] {
  const compared = comparable(kernel, runCase(backend, kernel, example), runCase(reference, kernel, example));
  const tolerance = toleranceOf(kernel, example.tolerance);
  return compared.flatMap(([name, got, want]) => {
    const found = difference(got, want, tolerance);
    return found === null ? [] : [`${example.title}: ${name}${found}`];
  });
}

function failuresBetweenThreads(kernel: KernelName, example: AnyCase): string[] {
  const want = runCase(one, kernel, example);
  const got = runCase(three, kernel, example, 12345);
  return [...want].flatMap(([name, values]) => {
    const found = bitDifference(got.get(name)!, values);
    return found === null ? [] : [`${example.title}: ${name}${found}`];
  });
}

describe.each(Object.keys(kernels) as KernelName[])("%s", (kernel) => {
  const { rule, t } = toleranceOf(kernel);
  const within = rule === "exact" ? "exactly" : `within ${t} (${rule})`;

  it(`has cases, and on each wasm agrees with the float64 definition ${within} unless the case says otherwise`, () => {
    expect(casesOf(kernel).length).toBeGreaterThan(0);
    expect(casesOf(kernel).flatMap((example) => failuresAgainstReference(one, kernel, example))).toEqual([]);
  });

  it(`agrees ${within} in the build without relaxed SIMD, too`, () => {
    expect(casesOf(kernel).flatMap((example) => failuresAgainstReference(plain, kernel, example))).toEqual([]);
  });

  it("gives the same bits on three threads as on one, whatever its outputs held before", () => {
    expect(casesOf(kernel).flatMap((example) => failuresBetweenThreads(kernel, example))).toEqual([]);
  });
});
