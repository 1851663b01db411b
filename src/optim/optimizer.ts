import { BackendError, DTypeError, OptionError, ShapeError } from "../core/errors.js";
import { formatShape, sameShape } from "../core/shape.js";
import type { Backend, Storage } from "../engine/backend.js";
import { Tensor } from "../tensor/tensor.js";
import { copyInto, loadOptimizerState, type OptimizerState, saveOptimizerState } from "./optimizer-state.js";
import { ParamGroup } from "./param-group.js";
import { type Cohort, StepCounts } from "./step-counts.js";

/** Parameters with options of their own; what is left out comes from the optimizer's options. */
export type ParamGroupOptions<Options> = { params: Iterable<Tensor> } & { [K in keyof Options]?: Options[K] };

/** Parameters, or groups of parameters. */
export type Params<Options> = Iterable<Tensor> | Iterable<ParamGroupOptions<Options>>;

/** The memory of an update: an entry of each list for each parameter. */
export interface UpdateMemory {
  readonly params: readonly Storage[];
  readonly grads: readonly Storage[];
  /** Numbers of elements. */
  readonly sizes: readonly number[];
  readonly lr: Storage;
  readonly step: Storage;
  /** State tensors, by name. */
  readonly buffers: Readonly<Record<string, readonly Storage[]>>;
}

/** What distinguishes one optimizer from another. */
export interface UpdateRule<Options> {
  readonly name: string;
  /** Refuses options that cannot be used. */
  check(options: Readonly<Options>): void;
  /** Names of the state tensors of each parameter, PyTorch's where it has them. */
  buffers(options: Readonly<Options>): readonly string[];
  /** Appends the kernel call that updates the parameters. */
  update(backend: Backend, memory: UpdateMemory, options: Readonly<Omit<Options, "lr">>): void;
}

/** Parameters of a group that have had the same number of updates: one kernel call updates them. */
interface Batch<Options extends object> {
  readonly group: ParamGroup<Options>;
  readonly cohort: Cohort;
  readonly params: readonly Tensor[];
  readonly sizes: readonly number[];
  /** State tensors of the parameters, by name. */
  readonly buffers: readonly (readonly [name: string, tensors: readonly Tensor[]])[];
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
  private readonly all: readonly Tensor[];
  /** Parameters that the last step updated, and how it divided them; kept while the same ones have a gradient. */
  private active: readonly Tensor[] = [];
  private cohorts: readonly Cohort[] = [];
  private batches: readonly Batch<Omit<Options, "lr">>[] = [];

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
    this.all = groups.flatMap((group) => group.params);
    this.backend = checkParams(rule.name, this.all);
    this.paramGroups = groups.map(
      ({ params, options: { lr, ...rest } }) => new ParamGroup<Omit<Options, "lr">>(rule.name, this.backend, params, rest, lr),
    );
    this.counts = new StepCounts(this.backend, this.all);
    for (const { params, options } of groups) for (const p of params) this.buffers.set(p, makeBuffers(p, rule.buffers(options)));
    fillWithZeros([...this.buffers.values()].flatMap((buffers) => Object.values(buffers)));
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
    return [...this.all];
  }

  /**
   * Updates every parameter that has a gradient.
   *
   * @throws ShapeError or BackendError if a gradient does not fit its parameter; nothing has changed then
   */
  step(): void {
    const active = this.all.filter((p) => p.grad !== null);
    for (const p of active) checkGradient(this.rule.name, p, p.grad!);
    if (active.length !== this.active.length || active.some((p, i) => p !== this.active[i])) this.divide(active);
    for (const batch of this.batches) this.update(batch);
    this.counts.advance(this.cohorts);
  }

  /**
   * Drops the gradients of all parameters.
   * @param options.setToNull false fills them with zeros instead, so that parameters count as having one (default true)
   */
  zeroGrad({ setToNull = true }: { setToNull?: boolean } = {}): void {
    if (setToNull) for (const p of this.all) p.grad = null;
    else fillWithZeros(this.all.flatMap((p) => p.grad ?? []));
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
    this.divide([]);
  }

  /**
   * Takes copies of state tensors and numbers of steps, for a step that is to be taken back; the memory stays where it is, so
   * that recorded steps stay valid. What is returned puts the values back, bit for bit, and must be called once.
   */
  preserve(): () => void {
    const { active, cohorts, batches } = this;
    const counts = this.counts.preserve();
    const copies = [...this.buffers.values()].flatMap(Object.values<Tensor>).map((t) => {
      const copy = Tensor.empty(t.backend, t.shape).keep();
      copyInto(copy, t);
      return [t, copy] as const;
    });
    return () => {
      counts();
      Object.assign(this, { active, cohorts, batches });
      for (const [t, copy] of copies) {
        copyInto(t, copy);
        copy.dispose();
      }
    };
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

  /** Makes batches of the parameters in `active`. */
  private divide(active: readonly Tensor[]): void {
    this.cohorts = this.counts.separate(new Set(active));
    this.batches = this.paramGroups.flatMap((group) => this.cohorts.flatMap((cohort) => this.batchOf(group, cohort) ?? []));
    this.active = active;
  }

  private batchOf(group: ParamGroup<Omit<Options, "lr">>, cohort: Cohort): Batch<Omit<Options, "lr">> | null {
    const params = group.params.filter((p) => cohort.members.has(p) && p.size > 0);
    if (params.length === 0) return null;
    const names = Object.keys(this.buffers.get(params[0]!)!);
    const buffers = names.map((name) => [name, params.map((p) => this.buffers.get(p)![name]!)] as const);
    return { group, cohort, params, sizes: params.map((p) => p.size), buffers };
  }

  private update({ group, cohort, params, sizes, buffers }: Batch<Omit<Options, "lr">>): void {
    const state: Record<string, Storage[]> = {};
    for (const [name, tensors] of buffers) state[name] = tensors.map((t) => t.storage);
    const memory = {
      params: params.map((p) => p.storage),
      grads: params.map((p) => p.grad!.storage),
      sizes,
      lr: group.lrCell.storage,
      step: cohort.cell.storage,
      buffers: state,
    };
    this.rule.update(this.backend, memory, group.options);
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
  // Not tensors, as two tensors may show the same memory, which one call must not update twice.
  const seen = new Set<Storage>();
  const backend = params[0]!.backend;
  for (const p of params) {
    if (!(p instanceof Tensor)) throw new OptionError(`${who}: expected tensors as parameters, got ${typeof p}.`);
    if (p.dtype !== "float32") throw new DTypeError(`${who}: expected float32 parameters, got ${p.dtype}.`);
    if (p.gradState.node !== null) throw new OptionError(`${who}: can't optimize a non-leaf Tensor: it was computed by an op.`);
    if (seen.has(p.storage)) throw new OptionError(`${who}: some parameters appear in more than one parameter group, or twice.`);
    if (p.backend !== backend) throw new BackendError(`${who}: the parameters lie on different backends.`);
    seen.add(p.storage);
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
  return Object.fromEntries(names.map((name) => [name, Tensor.empty(p.backend, p.shape).keep()]));
}

function fillWithZeros(tensors: readonly Tensor[]): void {
  const [first] = tensors;
  const sizes = tensors.map((t) => t.size);
  first?.backend.call("fillAll", { ys: tensors.map((t) => t.storage), sizes, value: 0 });
}
