// Deep residual networks of dense layers, as in experiment E12.
import { noGrad } from "../autograd/mode.js";
import { BatchNorm1d } from "../nn/batch-norm.js";
import * as init from "../nn/init.js";
import { Linear } from "../nn/linear.js";
import { Module } from "../nn/module.js";
import { ReLU } from "../nn/relu.js";
import { Sequential } from "../nn/sequential.js";
import { withoutStatsUpdate } from "../nn/stats-update.js";
import { zeros } from "../tensor/create.js";
import { manualSeed } from "../tensor/random.js";
import { tidy } from "../tensor/scope.js";
import type { Tensor } from "../tensor/tensor.js";

/**
 * "plain": x + f(x); "batch": the same with a normalization first in f; "skipinit": x + α f(x) with a learned α that begins at 0;
 * "halved": (x + f(x)) / √2. f is [normalization,] ReLU, dense layer.
 */
export type ResidualArm = "plain" | "batch" | "skipinit" | "halved";

class Block extends Module {
  readonly branch: Sequential;
  readonly alpha: Tensor | null;

  constructor(
    width: number,
    private readonly arm: ResidualArm,
  ) {
    super();
    const dense = new Linear(width, width);
    init.kaimingNormal(dense.weight, { nonlinearity: "relu" });
    init.zeros(dense.bias!);
    const first = arm === "batch" ? [new BatchNorm1d(width)] : [];
    this.branch = this.child("branch", new Sequential(...first, new ReLU(), dense));
    this.alpha = this.parameter("alpha", arm === "skipinit" ? zeros([1]) : null);
  }

  forward(x: Tensor): Tensor {
    const f = this.branch.call(x);
    if (this.alpha !== null) return x.add(f.mul(this.alpha));
    return this.arm === "halved" ? x.add(f).mul(Math.SQRT1_2) : x.add(f);
  }
}

/** Dense layer 784 → width, `blocks` residual blocks, [normalization,] ReLU, dense layer width → 10. */
export function buildResidualMlp(seed: number, arm: ResidualArm, blocks: number, width: number): Sequential {
  manualSeed(seed);
  const [first, last] = [new Linear(784, width), new Linear(width, 10)];
  for (const { weight, bias } of [first, last]) {
    init.kaimingNormal(weight, { nonlinearity: "relu" });
    init.zeros(bias!);
  }
  const end = arm === "batch" ? [new BatchNorm1d(width)] : [];
  const middle = Array.from({ length: blocks }, () => new Block(width, arm));
  return new Sequential(first, ...middle, ...end, new ReLU(), last);
}

/** For each block: variance over the examples of what comes in and of what f adds, mean over units; in the network's mode. */
export function branchVariances(model: Sequential, inputs: Tensor): { skip: number[]; branch: number[] } {
  return tidy(() =>
    noGrad(() =>
      withoutStatsUpdate(() => {
        let x = model.at(0).call(inputs);
        const found = { skip: [] as number[], branch: [] as number[] };
        for (const block of [...model].filter((layer) => layer instanceof Block)) {
          found.skip.push(varianceOf(x));
          found.branch.push(varianceOf(block.branch.call(x)));
          x = block.call(x);
        }
        return found;
      }),
    ),
  );
}

function varianceOf(x: Tensor): number {
  const centred = x.sub(x.mean(0, true));
  return centred.mul(centred).mean().item();
}
