import { withRecording } from "../autograd/mode.js";
import { TrainingError } from "../core/errors.js";
import type { Module } from "../nn/module.js";
import { tidy } from "../tensor/scope.js";
import type { Tensor } from "../tensor/tensor.js";
import { refuseInRecording } from "./measure.js";
import { copyOf, copyValues, normOf } from "./vectors.js";

/** How far a parameter has moved. */
export interface ParameterUpdate {
  /** Its key in the model. */
  name: string;
  size: number;
  /** |w| before. */
  weightNorm: number;
  /** |Δw|. */
  updateNorm: number;
  /** |Δw| / |w|; Infinity where w was 0 and has moved, NaN where it was 0 and has not. */
  ratio: number;
  /** log₁₀ of the ratio: −3 is a usual value, above −2 is fast, below −4 slow. −Infinity where nothing has moved. */
  log10: number;
}

/**
 * The size of updates beside the size of what they change, |Δw| / |w| (Euclidean norms), of every parameter of a model over one step
 * or more, recorded or not.
 *
 * Cost of a sample: a copy and two readings of the parameters. The copies stay, for the next sample, until `dispose`.
 *
 * @example
 * const updates = new UpdateRatio(model);
 * updates.before();
 * optimizer.step();
 * updates.after(); // [{ name: "0.weight", size, weightNorm, updateNorm, ratio, log10 }, …]
 * updates.dispose();
 */
export class UpdateRatio {
  private copies = new Map<Tensor, Tensor>();
  private isStarted = false;

  constructor(private readonly model: Module) {}

  /** Takes copies of the parameters as they are. @throws RecordingError in a recorded step */
  before(): void {
    refuseInRecording("UpdateRatio.before");
    const parameters = this.model.parameters();
    // Parameters may have been replaced since.
    for (const [p, copy] of this.copies) {
      if (parameters.includes(p)) continue;
      copy.dispose();
      this.copies.delete(p);
    }
    for (const p of parameters) {
      const copy = this.copies.get(p);
      if (copy === undefined) this.copies.set(p, copyOf(p).keep());
      else copyValues(p, copy);
    }
    this.isStarted = true;
  }

  /**
   * How far each parameter has moved since `before`; may be called again, later.
   *
   * @throws TrainingError if `before` was not called; RecordingError in a recorded step
   */
  after(): ParameterUpdate[] {
    refuseInRecording("UpdateRatio.after");
    if (!this.isStarted) throw new TrainingError("UpdateRatio.after: expected a call of before() first, got none.");
    return withRecording(false, () =>
      tidy(() =>
        [...this.model.namedParameters()].flatMap(([name, p]) => {
          const copy = this.copies.get(p);
          return copy === undefined ? [] : [updateOf(name, p, copy)];
        }),
      ),
    );
  }

  /** Gives the copies up. Harmless when repeated. */
  dispose(): void {
    for (const copy of this.copies.values()) copy.dispose();
    this.copies.clear();
    this.isStarted = false;
  }

  [Symbol.dispose](): void {
    this.dispose();
  }
}

function updateOf(name: string, p: Tensor, before: Tensor): ParameterUpdate {
  const weightNorm = normOf([before]);
  const updateNorm = normOf([p.sub(before)]);
  const ratio = updateNorm / weightNorm;
  return { name, size: p.size, weightNorm, updateNorm, ratio, log10: Math.log10(ratio) };
}
