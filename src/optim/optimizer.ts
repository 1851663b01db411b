import { BackendError, DTypeError, OptionError, ShapeError } from "../core/errors.js";
import { formatShape, sameShape } from "../core/shape.js";
import type { Backend, Storage } from "../engine/backend.js";
import { Tensor } from "../tensor/tensor.js";
import { loadOptimizerState, type OptimizerState, saveOptimizerState } from "./optimizer-state.js";
import { ParamGroup } from "./param-group.js";
import { StepCounts } from "./step-counts.js";

/** Parameters with options of their own; what is left out comes from the optimizer's options. */
export type ParamGroupOptions<Options> = { params: Iterable<Tensor> } & { [K in keyof Options]?: Options[K] };

/** Parameters, or groups of parameters. */
export type Params<Options> = Iterable<Tensor> | Iterable<ParamGroupOptions<Options>>;

/** The memory of one parameter's update. */
export interface UpdateMemory {
  readonly param: Storage;
  readonly grad: Storage;
  readonly lr: Storage;
  readonly step: Storage;
  readonly n: number;
  /** State tensors, by name. */
  readonly buffers: Readonly<Record<string, Storage>>;
}

/** What distinguishes one optimizer from another. */
export interface UpdateRule<Options> {
  readonly name: string;
  /** Refuses options that cannot be used. */
  check(options: Readonly<Options>): void;
  /** Names of the state tensors of each parameter, PyTorch's where it has them. */
  buffers(options: Readonly<Options>): readonly string[];
  /** Appends the kernel call that updates one parameter. */
  update(backend: Backend, memory: UpdateMemory, options: Readonly<Options>): void;
}

/**
 * Base of all optimizers: changes parameters in place, by their gradients.
 *
 * Parameters without a gradient are skipped and keep their state, as in PyTorch. Learning rates and numbers of steps lie
 * in memory cells that kernels read, so that a recorded step sees them change. State tensors are made in the constructor.
 */
export abstract class Optimizer<Options extends { lr: number } = { lr: number }> {
  readonly paramGroups: readonly ParamGroup<Omit<Options, "lr">>[];
  private readonly backend: Backend;
  private readonly counts: StepCounts;
  private readonly buffers = new Map<Tensor, Record<string, Tensor>>();

  /**
   * @param defaults all options, with defaults filled in
   * @throws OptionError if an option cannot be used, there is no parameter, one appears twice or was computed by an op
   */
  protected constructor(
    private readonly rule: UpdateRule<Options>,
    params: Params<Options>,
    defaults: Options,
  ) {
    const groups = readGroups(rule.name, params, defaults);
    for (const { options } of groups) rule.check(options);
    const all = groups.flatMap((group) => group.params);
    this.backend = checkParams(rule.name, all);
    this.paramGroups = groups.map(
      ({ params, options: { lr, ...rest } }) => new ParamGroup<Omit<Options, "lr">>(rule.name, this.backend, params, rest, lr),
    );
    this.counts = new StepCounts(this.backend, all);
    for (const { params, options } of groups) for (const p of params) this.buffers.set(p, makeBuffers(p, rule.buffers(options)));
  }

  /** The learning rate of the first group; setting it sets that of all groups. */
  get lr(): number {
    return this.paramGroups[0]!.lr;
  }

  set lr(value: number) {
    for (const group of this.paramGroups) group.lr = value;
  }

  /** Parameters of all groups, in order. */
  parameters(): Tensor[] {
    return this.paramGroups.flatMap((group) => group.params);
  }

  /**
   * Updates every parameter that has a gradient.
   *
   * @throws ShapeError or BackendError if a gradient does not fit its parameter; nothing has changed then
   */
  step(): void {
    const active = new Set(this.parameters().filter((p) => p.grad !== null));
    for (const p of active) checkGradient(this.rule.name, p, p.grad!);
    this.counts.separate(active);
    for (const group of this.paramGroups) {
      for (const p of group.params) if (active.has(p) && p.size > 0) this.update(p, group);
    }
    this.counts.advance(active);
  }

  /**
   * Drops the gradients of all parameters.
   * @param options.setToNull false fills them with zeros instead, so that parameters count as having one (default true)
   */
  zeroGrad({ setToNull = true }: { setToNull?: boolean } = {}): void {
    for (const p of this.parameters()) {
      if (setToNull) p.grad = null;
      else if (p.grad !== null && p.grad.size > 0) {
        this.backend.call("fill", { y: p.grad.storage, n: p.grad.size, value: 0 });
      }
    }
  }

  /** What training needs to go on: options, numbers of steps, and handles on the state tensors (not copies). */
  stateDict(): OptimizerState {
    return saveOptimizerState(this.paramGroups, this.buffers, (p) => this.counts.read(p));
  }

  /**
   * Takes over learning rates, numbers of steps and state tensors, by copying. Parameters are matched by their order. Other
   * options stay those of this optimizer.
   *
   * @throws StateDictError naming what does not fit; nothing has changed then
   */
  loadStateDict(state: OptimizerState): void {
    const counts = loadOptimizerState(`${this.rule.name}.loadStateDict`, state, this.paramGroups, this.buffers);
    this.counts.load(counts);
  }

  /** Gives back the memory of the state; the parameters stay. Harmless when repeated. */
  dispose(): void {
    this.counts.dispose();
    for (const group of this.paramGroups) group.lrCell.dispose();
    for (const buffers of this.buffers.values()) for (const t of Object.values(buffers)) t.dispose();
  }

  [Symbol.dispose](): void {
    this.dispose();
  }

  private update(p: Tensor, group: ParamGroup<Omit<Options, "lr">>): void {
    const buffers: Record<string, Storage> = {};
    for (const [name, t] of Object.entries(this.buffers.get(p)!)) buffers[name] = t.storage;
    const memory = {
      param: p.storage,
      grad: p.grad!.storage,
      lr: group.lrCell.storage,
      step: this.counts.cellOf(p),
      n: p.size,
      buffers,
    };
    this.rule.update(this.backend, memory, { ...group.options, lr: group.lr } as unknown as Options);
  }
}

interface GroupSpec<Options> {
  params: Tensor[];
  options: Options;
}

function readGroups<Options>(who: string, params: Params<Options>, defaults: Options): GroupSpec<Options>[] {
  const items = [...params] as (Tensor | ParamGroupOptions<Options>)[];
  if (items.length === 0) throw new OptionError(`${who}: optimizer got an empty parameter list.`);
  if (items.every((item) => item instanceof Tensor)) return [{ params: items, options: defaults }];
  return items.map((item, i) => {
    if (item instanceof Tensor || item === null || typeof item !== "object" || !("params" in item)) {
      throw new OptionError(`${who}: expected tensors, or groups { params, … }, got something else at position ${i}.`);
    }
    const { params: own, ...options } = item;
    const list = [...own];
    if (list.length === 0) throw new OptionError(`${who}: optimizer got an empty parameter list in group ${i}.`);
    return { params: list, options: { ...defaults, ...options } };
  });
}

function checkParams(who: string, params: readonly Tensor[]): Backend {
  const seen = new Set<Tensor["gradState"]>();
  const backend = params[0]!.backend;
  for (const p of params) {
    if (!(p instanceof Tensor)) throw new OptionError(`${who}: expected tensors as parameters, got ${typeof p}.`);
    if (p.dtype !== "float32") throw new DTypeError(`${who}: expected float32 parameters, got ${p.dtype}.`);
    if (p.gradState.node !== null) throw new OptionError(`${who}: can't optimize a non-leaf Tensor: it was computed by an op.`);
    if (seen.has(p.gradState))
      throw new OptionError(`${who}: some parameters appear in more than one parameter group, or twice.`);
    if (p.backend !== backend) throw new BackendError(`${who}: the parameters lie on different backends.`);
    seen.add(p.gradState);
  }
  return backend;
}

function checkGradient(who: string, p: Tensor, grad: Tensor): void {
  if (!sameShape(p.shape, grad.shape)) {
    throw new ShapeError(
      `${who}: expected a gradient of shape ${formatShape(p.shape)}, that of its parameter, got ${formatShape(grad.shape)}.`,
    );
  }
  if (grad.backend !== p.backend) throw new BackendError(`${who}: a gradient lies on another backend than its parameter.`);
}

function makeBuffers(p: Tensor, names: readonly string[]): Record<string, Tensor> {
  const buffers: Record<string, Tensor> = {};
  for (const name of names) {
    const t = Tensor.empty(p.backend, p.shape).keep();
    if (t.size > 0) t.backend.call("fill", { y: t.storage, n: t.size, value: 0 });
    buffers[name] = t;
  }
  return buffers;
}
