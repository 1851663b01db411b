// What goes into and comes out of a layer on fixed images, unit by unit.
import { noGrad } from "../autograd/mode.js";
import type { Module } from "../nn/module.js";
import type { Sequential } from "../nn/sequential.js";
import { withoutStatsUpdate } from "../nn/stats-update.js";
import { tidy } from "../tensor/scope.js";
import type { Tensor } from "../tensor/tensor.js";

/** Values [examples, units] after the first `layers` layers of the network, in its present mode; statistics are not moved. */
export function valuesAfter(model: Sequential, layers: number, inputs: Tensor): Float64Array {
  return tidy(() =>
    noGrad(() =>
      withoutStatsUpdate(() => {
        const run = (x: Tensor, layer: Module) => layer.call(x);
        return Float64Array.from([...model].slice(0, layers).reduce(run, inputs).data());
      }),
    ),
  );
}
