import { ShapeError, TrainingError } from "../core/errors.js";
import { formatShape } from "../core/shape.js";
import { withBackend } from "../engine/current.js";
import type { Tensor } from "../tensor/tensor.js";
import { BatchNorm } from "./batch-norm-base.js";
import type { BatchNormLayerOptions } from "./batch-norm-options.js";

/** What the lazy layers have in common: C is taken from axis 1 of the first input, or from the state that is loaded. */
abstract class LazyBatchNorm extends BatchNorm {
  /** Name of the layer it becomes. */
  protected abstract readonly becomes: string;

  constructor(options: BatchNormLayerOptions = {}) {
    super(null, options);
  }

  override get typeName(): string {
    return this.numFeatures === 0 ? super.typeName : this.becomes;
  }

  protected override checkReady(): void {
    if (this.numFeatures > 0) return;
    throw new TrainingError(
      `${this.who}: expected numFeatures to be known before parameters or state are asked for; ` +
        "run one batch through the network first, or load a state.",
    );
  }

  override forward(x: Tensor, mask?: Tensor): Tensor {
    return this.learning(x, () => super.forward(x, mask));
  }

  override forwardRelu(x: Tensor): Tensor {
    return this.learning(x, () => super.forwardRelu(x));
  }

  override forwardTogether(parts: readonly Tensor[]): Tensor[] {
    const [first] = parts;
    return first === undefined ? [] : this.learning(first, () => super.forwardTogether(parts));
  }

  /** Takes C from `x` for `fn`, and forgets it again if `fn` is refused. */
  private learning<T>(x: Tensor, fn: () => T): T {
    if (this.numFeatures > 0) return fn();
    this.checkRank(x);
    const c = x.shape[1]!;
    if (c === 0) throw new ShapeError(`${this.who}: expected at least one channel at axis 1, got ${formatShape(x.shape)}.`);
    withBackend(x.backend, () => this.materialize(c));
    try {
      return fn();
    } catch (error) {
      this.dematerialize();
      throw error;
    }
  }

  protected override prepareLoad(state: ReadonlyMap<string, Tensor>): (() => void) | undefined {
    const known = state.get("weight") ?? state.get("bias") ?? state.get("running_mean");
    if (this.numFeatures > 0 || known === undefined || known.size === 0) return super.prepareLoad(state);
    this.materialize(known.size);
    const undo = super.prepareLoad(state);
    return () => {
      undo?.();
      this.dematerialize();
    };
  }
}

/**
 * BatchNorm1d that learns its number of channels from the first input, or from the state that is loaded; from then on it is a
 * BatchNorm1d in everything, its name included. Until then there are no parameters: asking for them is an error, so that no
 * optimizer misses them.
 *
 * Shapes: [N, C] or [N, C, L] → the same.
 * @throws TrainingError if parameters or state are asked for before C is known
 * @example
 * const bn = new nn.LazyBatchNorm1d();
 * bn.forward(uniform([32, 64]));
 * bn.numFeatures; // 64
 */
export class LazyBatchNorm1d extends LazyBatchNorm {
  protected readonly layouts = ["NC", "NCL"];
  protected readonly becomes = "BatchNorm1d";
}

/**
 * BatchNorm2d that learns its number of channels from the first input; see LazyBatchNorm1d.
 *
 * Shapes: [N, C, H, W] → the same.
 * @example
 * new nn.LazyBatchNorm2d().forward(uniform([8, 16, 4, 4])).shape; // [8, 16, 4, 4]
 */
export class LazyBatchNorm2d extends LazyBatchNorm {
  protected readonly layouts = ["NCHW"];
  protected readonly becomes = "BatchNorm2d";
}

/**
 * BatchNorm3d that learns its number of channels from the first input; see LazyBatchNorm1d.
 *
 * Shapes: [N, C, D, H, W] → the same.
 * @example
 * new nn.LazyBatchNorm3d().forward(uniform([2, 4, 3, 8, 8])).shape; // [2, 4, 3, 8, 8]
 */
export class LazyBatchNorm3d extends LazyBatchNorm {
  protected readonly layouts = ["NCDHW"];
  protected readonly becomes = "BatchNorm3d";
}
