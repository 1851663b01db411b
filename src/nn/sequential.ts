import { OptionError } from "../core/errors.js";
import type { Tensor } from "../tensor/tensor.js";
import { BatchNorm } from "./batch-norm-base.js";
import { isExactly } from "./is-exactly.js";
import { Module } from "./module.js";
import { ReLU } from "./relu.js";
import { runTogether } from "./together.js";

/**
 * Modules one after the other: the output of each is the input of the next. Without any it returns its input.
 *
 * Training or evaluation mode is passed on to all. A batch normalization and the ReLU behind it are one pass over memory, with
 * the same bits, unless one of them has hooks. State keys begin with the position: "0.weight", "1.running_mean".
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

  /** Adds a module at the end; returns this. Its state keys begin with `name` (default: its position). */
  append(module: Module, name = String(this.length)): this {
    this.child(name, module);
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
    const modules = this.children();
    let y = x;
    for (let i = 0; i < modules.length; i++) {
      const module = modules[i]!;
      if (module instanceof BatchNorm && isPlainRelu(modules[i + 1]) && !module.hasHooks) {
        y = module.forwardRelu(y);
        i++;
      } else y = module.call(y);
    }
    return y;
  }

  override forwardTogether(parts: readonly Tensor[]): Tensor[] {
    return runTogether([...flattened(this)], parts);
  }
}

/** Whether a ReLU can be computed with the batch normalization before it: nobody looks in between or at it. */
export function isPlainRelu(module: Module | undefined): boolean {
  return isExactly(module, ReLU) && !module.hasHooks;
}

/** The modules in the order in which they run, those of inner sequences included. */
function* flattened(sequence: Sequential): Iterable<Module> {
  for (const module of sequence) {
    if (isExactly(module, Sequential) && !module.hasHooks) yield* flattened(module);
    else yield module;
  }
}
