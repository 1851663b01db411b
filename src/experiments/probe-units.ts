// What comes out of the layers of a network on fixed images.
import { noGrad } from "../autograd/mode.js";
import type { Module } from "../nn/module.js";
import type { Sequential } from "../nn/sequential.js";
import { withoutStatsUpdate } from "../nn/stats-update.js";
import { tidy } from "../tensor/scope.js";
import type { Tensor } from "../tensor/tensor.js";

/** Runs the first `layers` layers of the network, in its present mode, and `fn` on what they give; statistics are not moved. */
export function lookAfter<T>(model: Sequential, layers: number, inputs: Tensor, fn: (y: Tensor) => T): T {
  return tidy(() =>
    noGrad(() =>
      withoutStatsUpdate(() => fn([...model].slice(0, layers).reduce((x: Tensor, layer: Module) => layer.call(x), inputs))),
    ),
  );
}

/** Values [examples, units] after the first `layers` layers, row by row. */
export function valuesAfter(model: Sequential, layers: number, inputs: Tensor): Float64Array {
  return lookAfter(model, layers, inputs, (y) => Float64Array.from(y.data()));
}
