import { GELU } from "../nn/gelu.js";
import { LeakyReLU } from "../nn/leaky-relu.js";
import type { Module } from "../nn/module.js";
import { ReLU } from "../nn/relu.js";
import { Sigmoid } from "../nn/sigmoid.js";
import { SiLU } from "../nn/silu.js";
import { Tanh } from "../nn/tanh.js";
import type { Activation } from "./record.js";

const makers: { readonly [K in Activation]: () => Module } = {
  relu: () => new ReLU(),
  sigmoid: () => new Sigmoid(),
  tanh: () => new Tanh(),
  gelu: () => new GELU(),
  silu: () => new SiLU(),
  "leaky-relu": () => new LeakyReLU(),
};

/** A new layer of the activation named. */
export function activationOf(name: Activation): Module {
  return makers[name]();
}
