import { add } from "../ops/index.js";
import type { Tensor } from "../tensor/tensor.js";
import { Module } from "./module.js";

/**
 * A branch added to its own input: y = branch(x) + shortcut(x), where the shortcut is x itself unless a module is given.
 *
 * The same in training and evaluation, apart from what branch and shortcut do. State keys begin with "branch." and
 * "shortcut.". The function after the sum (ReLU in the original) is the next module's work.
 *
 * @param branch what is added
 * @param shortcut for branches that change the shape, such as a convolution with stride (default: the identity)
 * Shapes: branch and shortcut must give shapes that can be added, as a rule the same.
 * @throws ShapeError if the two cannot be added
 * @example
 * new nn.Residual(new nn.Conv2d(8, 8, 3, { padding: 1 })).forward(uniform([2, 8, 4, 4])).shape; // [2, 8, 4, 4]
 * @see He, Zhang, Ren, Sun 2016, "Deep residual learning for image recognition", equations 1 and 2
 */
export class Residual extends Module {
  readonly branch: Module;
  readonly shortcut: Module | null;

  constructor(branch: Module, shortcut: Module | null = null) {
    super();
    this.branch = this.child("branch", branch);
    this.shortcut = shortcut === null ? null : this.child("shortcut", shortcut);
  }

  forward(x: Tensor): Tensor {
    const kept = this.shortcut === null ? x : this.shortcut.call(x);
    return add(this.branch.call(x), kept);
  }

  override forwardTogether(parts: readonly Tensor[]): Tensor[] {
    const kept = this.shortcut === null ? parts : this.shortcut.callTogether(parts);
    return this.branch.callTogether(parts).map((y, i) => add(y, kept[i]!));
  }
}
