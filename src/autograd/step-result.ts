import { RecordingError } from "../core/errors.js";
import { sameShape } from "../core/shape.js";
import type { Recorder } from "../engine/recorder.js";
import type { SharedStorage } from "../tensor/memory.js";
import { Tensor } from "../tensor/tensor.js";

/** Makes a value of the result from the arguments of the call. */
type Builder = (args: readonly unknown[]) => unknown;

/** What a recorded step returns: the same arrays and objects of tensors for each run. */
export class StepResult {
  /** Memory of the tensors that the step made, pinned; it is written again at each run. */
  readonly memory: SharedStorage[] = [];
  /** The result of a run with these arguments. Tensors that were disposed of since the last run are made anew. */
  readonly build: Builder;

  /**
   * @param value what the function returned
   * @param inputs the tensors that the function got, in the places of the arguments; null for other arguments
   * @throws RecordingError if the value is more than tensors in arrays, maps and plain objects
   */
  constructor(
    value: unknown,
    private readonly inputs: readonly (Tensor | null)[],
    private readonly recorder: Recorder,
  ) {
    this.build = this.builderOf(value);
  }

  private builderOf(value: unknown): Builder {
    if (value === null || value === undefined) return () => value;
    if (value instanceof Tensor) return this.tensorBuilder(value);
    if (Array.isArray(value)) {
      const items = value.map((item) => this.builderOf(item));
      return (args) => items.map((build) => build(args));
    }
    if (value instanceof Map) {
      const entries = [...value].map(([key, item]) => [key, this.builderOf(item)] as const);
      return (args) => new Map(entries.map(([key, build]) => [key, build(args)]));
    }
    if (typeof value === "object" && Object.getPrototypeOf(value) === Object.prototype) {
      const entries = Object.entries(value).map(([key, item]) => [key, this.builderOf(item)] as const);
      return (args) => Object.fromEntries(entries.map(([key, build]) => [key, build(args)]));
    }
    const what = typeof value === "object" ? `a ${value.constructor.name}` : `a ${typeof value}`;
    throw new RecordingError(
      `compile: expected a step that returns tensors, or arrays and objects of tensors, got ${what}: a replay could not renew it.`,
    );
  }

  private tensorBuilder(tensor: Tensor): Builder {
    const index = this.inputs.findIndex((x) => x !== null && x.storage === tensor.storage && sameShape(x.shape, tensor.shape));
    if (index >= 0) return (args) => args[index];
    if (!this.recorder.owns(tensor.storage)) return () => tensor;
    const memory = tensor.pin();
    this.memory.push(memory);
    const { shape } = tensor;
    let shown: Tensor | null = null;
    return () => {
      if (shown === null || shown.isDisposed) shown = new Tensor(memory.retain(), shape);
      return shown;
    };
  }
}
