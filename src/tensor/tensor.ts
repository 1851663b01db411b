import { DTypeError, GradientError, ShapeError } from "../core/errors.js";
import { formatShape, type Shape, sizeOf } from "../core/shape.js";
import type { Backend } from "../engine/backend.js";
import { READING_REFUSED, refuseInStep } from "../engine/recorder.js";
import { noteGrad } from "./grad-journal.js";
import { Holder } from "./holder.js";
import { SharedStorage } from "./memory.js";
import type { TensorMethods } from "./methods.js";
import { formatTensor } from "./print.js";
import { type Disposable, leaveScopes, moveScope } from "./scope.js";

/** How a tensor was computed; defined by autograd. */
export interface GradNode extends Disposable {
  readonly name: string;
}

/** What autograd knows of a value; shared by all tensors that show the same value. */
export interface GradState {
  requiresGrad: boolean;
  grad: Tensor | null;
  /** null for a leaf. */
  node: GradNode | null;
  /** The leaf that asked for gradients. They live as long as it. */
  leaf: Tensor | null;
}

export type TensorDType = "float32" | "int32";

export type NestedArray = number | NestedArray[];

/**
 * A row-major array of float32 or int32 values in a backend's memory. Tensors do not change, except where an optimizer or
 * running statistics write into parameters and buffers.
 */
// biome-ignore lint/suspicious/noUnsafeDeclarationMerging: ops and autograd install the methods (methods.ts)
export class Tensor extends Holder {
  readonly shape: Shape;
  readonly size: number;
  readonly dtype: TensorDType;
  /** Shared with views and with what autograd saved. */
  readonly gradState: GradState;

  constructor(
    memory: SharedStorage,
    shape: Shape,
    gradState: GradState = { requiresGrad: false, grad: null, node: null, leaf: null },
  ) {
    super(memory);
    this.shape = shape;
    this.size = sizeOf(shape);
    this.dtype = memory.storage.dtype as TensorDType;
    this.gradState = gradState;
  }

  /** A tensor with undefined contents. */
  static empty(backend: Backend, shape: Shape, dtype: TensorDType = "float32"): Tensor {
    return new Tensor(new SharedStorage(backend.alloc(dtype, sizeOf(shape))), shape);
  }

  get rank(): number {
    return this.shape.length;
  }

  get backend(): Backend {
    return this.storage.backend;
  }

  /** Whether other tensors show the same memory. */
  get sharesMemory(): boolean {
    return this.memory?.shared ?? false;
  }

  // ---- gradients ----

  get requiresGrad(): boolean {
    return this.gradState.requiresGrad;
  }

  /** Only a leaf (a tensor that no op computed) can be switched. */
  set requiresGrad(value: boolean) {
    if (value && this.dtype !== "float32") throw new DTypeError(`requiresGrad: expected a float32 tensor, got ${this.dtype}.`);
    if (this.gradState.node !== null) {
      throw new GradientError(
        "requiresGrad: you can only change requiresGrad flags of leaf variables, and this one was computed: use detach().",
      );
    }
    this.gradState.requiresGrad = value;
    this.gradState.leaf ??= this;
  }

  /** The sum of gradients so far, or null. */
  get grad(): Tensor | null {
    noteGrad(this.gradState, true);
    return this.gradState.grad;
  }

  set grad(value: Tensor | null) {
    noteGrad(this.gradState, false);
    const old = this.gradState.grad;
    if (value !== null) moveScope(value, this.gradState.leaf ?? this);
    this.gradState.grad = value;
    if (old !== null && old !== value) old.dispose();
  }

  /** The same values, seen by autograd as a constant. */
  detach(): Tensor {
    return new Tensor(this.share(), this.shape);
  }

  // ---- values ----

  /** Copies the values to JavaScript at once: Float32Array (Float64Array on the reference backend) or Int32Array. */
  data(): Float32Array | Float64Array | Int32Array {
    refuseInStep("data", READING_REFUSED);
    return this.backend.read(this.storage) as Float32Array | Float64Array | Int32Array;
  }

  /** The same on any backend. */
  async read(): Promise<Float32Array | Float64Array | Int32Array> {
    refuseInStep("read", READING_REFUSED);
    return this.data();
  }

  /** The values as nested arrays; a number for a scalar. */
  toArray(): NestedArray {
    refuseInStep("toArray", READING_REFUSED);
    const data = this.data();
    const nest = (axis: number, offset: number, size: number): NestedArray => {
      if (axis === this.rank) return data[offset]!;
      const count = this.shape[axis]!;
      const step = count === 0 ? 0 : size / count;
      return Array.from({ length: count }, (_, i) => nest(axis + 1, offset + i * step, step));
    };
    return nest(0, 0, this.size);
  }

  /** The value of a tensor with one element. @throws ShapeError if it has more or none */
  item(): number {
    refuseInStep("item", READING_REFUSED);
    if (this.size !== 1) throw new ShapeError(`item: expected a tensor with one element, got shape ${formatShape(this.shape)}.`);
    return this.data()[0]!;
  }

  // ---- lifetime ----

  /** Keeps the memory beyond the last tensor that shows it, until `unpin` of what is returned. */
  pin(): SharedStorage {
    return this.alive().pin();
  }

  /** Another tensor over the same memory with another shape of the same size, and its own place in the graph. */
  view(shape: Shape): Tensor {
    return new Tensor(this.share(), shape);
  }

  /** Another handle on the same value. */
  alias(): Tensor {
    return new Tensor(this.share(), this.shape, this.gradState);
  }

  /** Another handle that no `tidy` disposes of, for who disposes of it by himself. */
  hold(): Tensor {
    const handle = this.alias();
    leaveScopes(handle);
    return handle;
  }

  [Symbol.dispose](): void {
    this.dispose();
  }

  /** For scopes: the graph behind it and its gradient. */
  *behind(): Iterable<Disposable> {
    if (this.gradState.node !== null) yield this.gradState.node;
    if (this.gradState.grad !== null) yield this.gradState.grad;
  }

  override toString(): string {
    return formatTensor(this);
  }

  [Symbol.for("nodejs.util.inspect.custom")](): string {
    return this.toString();
  }

  protected describe(): string {
    return `tensor ${formatShape(this.shape)}`;
  }

  private share(): SharedStorage {
    return this.alive().retain();
  }
}

export interface Tensor extends TensorMethods {}

/** Adds methods to all tensors. */
export function installMethods(methods: Partial<TensorMethods> & ThisType<Tensor>): void {
  Object.assign(Tensor.prototype, methods);
}
