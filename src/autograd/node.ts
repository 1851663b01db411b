import { GradientError } from "../core/errors.js";
import type { Shape } from "../core/shape.js";
import { type Disposable, enterScope } from "../tensor/scope.js";
import type { GradNode, GradState, Tensor } from "../tensor/tensor.js";

/** What a gradient rule sees of the forward pass. */
export interface Saved {
  /** The inputs that the op keeps; asking for another one is an error of the op. */
  input(i: number): Tensor;
  /** The output, if the op keeps it. */
  output(): Tensor;
  /** What `forward` passed to `save`. */
  extra(i: number): Tensor;
  /** Shapes of all inputs. */
  readonly shapes: readonly Shape[];
  /** Which inputs need a gradient. */
  readonly needs: readonly boolean[];
}

/** Gradients of the inputs (null where none is needed) from the gradient of the output. */
export type GradientRule = (saved: Saved, dy: Tensor) => readonly (Tensor | null)[];

let created = 0;

/** One op call on the tape. Keeps handles of its own on what the rule needs, until `release` or the end of a `tidy`. */
export class TapeNode implements GradNode, Saved {
  /** Nodes are numbered as they are made: a larger number never feeds a smaller one. */
  readonly id = created++;
  private inputs: readonly (Tensor | null)[];
  private result: Tensor | null = null;
  private extras: readonly Tensor[];
  private released = false;

  constructor(
    readonly name: string,
    readonly rule: GradientRule,
    /** Where the gradients of the inputs go: the tape's own record of each input. */
    readonly edges: readonly GradState[],
    readonly shapes: readonly Shape[],
    readonly needs: readonly boolean[],
    inputs: readonly (Tensor | null)[],
    extras: readonly Tensor[],
  ) {
    this.inputs = inputs.map((t) => t?.hold() ?? null);
    this.extras = extras.map((t) => t.hold());
    enterScope(this);
  }

  keepOutput(output: Tensor): void {
    this.result = output.hold();
  }

  input(i: number): Tensor {
    return this.saved(this.inputs[i], `input ${i}`);
  }

  output(): Tensor {
    return this.saved(this.result, "the output");
  }

  extra(i: number): Tensor {
    return this.saved(this.extras[i], `saved tensor ${i}`);
  }

  release(): void {
    if (this.released) return;
    this.released = true;
    for (const t of this.inputs) t?.dispose();
    for (const t of this.extras) t.dispose();
    this.result?.dispose();
    this.inputs = [];
    this.extras = [];
    this.result = null;
  }

  dispose(): void {
    this.release();
  }

  leaveScope(): void {}

  /** The nodes that its inputs come from, as long as a backward pass can get there. */
  *behind(): Iterable<Disposable> {
    if (this.released) return;
    for (const { node } of this.edges) if (node !== null) yield node;
  }

  checkAlive(): void {
    if (this.released) {
      throw new GradientError(
        `backward: Trying to backward through the graph a second time: what ${this.name} saved is freed. ` +
          "Pass { retainGraph: true } to the first call.",
      );
    }
  }

  private saved(t: Tensor | null | undefined, what: string): Tensor {
    if (!t) throw new GradientError(`${this.name}: ${what} was not kept for the backward pass.`);
    return t;
  }
}
