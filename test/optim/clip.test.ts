import { expect, test } from "vitest";
import { OptionError, TrainingError } from "../../src/core/errors.js";
import { currentBackend } from "../../src/engine/current.js";
import { clipGradNorm, clipGradValue } from "../../src/optim/index.js";
import { tensor } from "../../src/tensor/create.js";
import { tidy } from "../../src/tensor/scope.js";
import type { Tensor } from "../../src/tensor/tensor.js";

function withGrad(...grad: number[]): Tensor {
  const p = tensor(new Float32Array(grad.length), [grad.length], { requiresGrad: true });
  p.grad = tensor(grad);
  return p;
}

const grads = (params: Tensor[]) => params.map((p) => Array.from(p.grad!.data()));

test("all gradients together are scaled to the norm asked for, within 1e-6, and the norm before is returned", () => {
  const params = [withGrad(3, 0), withGrad(0, 4)];
  const none = tensor([1], [1], { requiresGrad: true });
  expect(clipGradNorm([...params, none], 1).item()).toBeCloseTo(5, 6);
  const squares = grads(params)
    .flat()
    .reduce((sum, g) => sum + g * g, 0);
  expect(Math.abs(Math.sqrt(squares) - 1)).toBeLessThan(1e-6);
  expect(none.grad).toBeNull();
});

test("gradients within the norm keep their bits, and Infinity only measures", () => {
  const params = [withGrad(0.3, 0.1), withGrad(0.2)];
  const before = grads(params);
  clipGradNorm(params, 10);
  expect(clipGradNorm(params, Number.POSITIVE_INFINITY).item()).toBeCloseTo(Math.sqrt(0.14), 6);
  expect(grads(params)).toEqual(before);
});

test("a norm that is not finite is an error on demand, and the gradients stay", () => {
  const params = [withGrad(Number.POSITIVE_INFINITY, 1)];
  expect(() => clipGradNorm(params, 1, { errorIfNonfinite: true })).toThrow(TrainingError);
  expect(grads(params)).toEqual([[Number.POSITIVE_INFINITY, 1]]);
});

test("without any gradient the norm is 0; a norm to clip to must be above 0", () => {
  expect(clipGradNorm([tensor([1], [1], { requiresGrad: true })], 1).item()).toBe(0);
  expect(() => clipGradNorm([withGrad(1)], 0)).toThrow(OptionError);
});

test("clipping inside tidy leaves no storage behind", () => {
  const params = [withGrad(3, 4)];
  const before = currentBackend().memory().storages;
  tidy(() => {
    clipGradNorm(params, 1);
    clipGradValue(params, 0.5);
  });
  expect(currentBackend().memory().storages).toBe(before);
});

test("values are limited one by one", () => {
  const params = [withGrad(-3, 0.25, 2)];
  clipGradValue(params, 0.5);
  expect(grads(params)).toEqual([[-0.5, 0.25, 0.5]]);
});
