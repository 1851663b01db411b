import { OptionError } from "../core/errors.js";
import type { Tensor } from "../tensor/tensor.js";
import { Module } from "./module.js";

/**
 * Modules one after the other: the output of each is the input of the next. Without any it returns its input.
 *
 * Training or evaluation mode is passed on to all. State keys begin with the position: "0.weight", "1.running_mean".
 *
 * @param modules in the order in which they run
 * Shapes: those of the first module's input → those of the last one's output.
 * @example
 * const model = new nn.Sequential(new nn.Linear(784, 64, { bias: false }), new nn.BatchNorm1d(64), new nn.ReLU());
 * model.forward(uniform([32, 784])).shape; // [32, 64]
 */
export class Sequential extends Module implements Iterable<Module> {
  constructor(...modules: Module[]) {
    super();
    for (const module of modules) this.append(module);
  }

  /** Adds a module at the end; returns this. */
  append(module: Module): this {
    this.child(String(this.length), module);
    return this;
  }

  get length(): number {
    return this.children().length;
  }

  /** The module at position `index`; negative positions count from the end. @throws OptionError if there is none */
  at(index: number): Module {
    const module = this.children().at(index);
    if (module === undefined || !Number.isInteger(index)) {
      throw new OptionError(`Sequential.at: expected a position from ${-this.length} to ${this.length - 1}, got ${index}.`);
    }
    return module;
  }

  [Symbol.iterator](): Iterator<Module> {
    return this.children()[Symbol.iterator]();
  }

  forward(x: Tensor): Tensor {
    let y = x;
    for (const module of this.children()) y = module.call(y);
    return y;
  }
}
