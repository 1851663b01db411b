import { OptionError, TrainingError } from "../core/errors.js";
import { watch } from "../engine/recorder.js";
import { Tensor } from "../tensor/tensor.js";
import { type ForwardHook, type ForwardPreHook, HookList, type HookSampling, leaveToHooks, type RemoveHook } from "./hooks.js";
import { type LoadOptions, type LoadResult, loadState, type StateEntry } from "./state-dict.js";

export interface BufferOptions extends Omit<StateEntry, "tensor"> {
  /** Whether the buffer belongs to the state dictionary (default true). */
  persistent?: boolean;
}

/**
 * A part of a network: parameters that are trained, buffers that are not, and children that are modules themselves.
 *
 * A module declares what it owns in its constructor, under PyTorch's names, since these become the keys of `stateDict`:
 *
 * @example
 * class Scale extends Module {
 *   readonly weight = this.parameter("weight", ones([1]));
 *   forward(x: Tensor): Tensor {
 *     return mul(x, this.weight);
 *   }
 * }
 */
export abstract class Module {
  private mode: "training" | "evaluation" = "training";
  /** Counts how often parts were added, replaced or removed. */
  // biome-ignore lint/correctness/noUnusedPrivateClassMembers: recorded steps look at every plain property (Recorder.watch)
  private revision = 0;
  private readonly ownParameters = new Map<string, Tensor>();
  private readonly ownBuffers = new Map<string, StateEntry & { persistent: boolean }>();
  private readonly ownChildren = new Map<string, Module>();
  /** Where the module was last made a child. */
  private place: { parent: Module; name: string } | null = null;
  private readonly preHooks = new HookList<ForwardPreHook>();
  private readonly hooks = new HookList<ForwardHook>();

  /** Whether the module is in training mode; set by `train` and `eval`. */
  get training(): boolean {
    watch(this);
    return this.mode === "training";
  }

  set training(on: boolean) {
    this.mode = on ? "training" : "evaluation";
  }

  /** What the module computes, without its hooks. Modules run their children by `call`, and so should you. */
  abstract forward(...inputs: Tensor[]): Tensor;

  // ---- registration, for constructors of subclasses ----

  /** Declares a parameter (null where an option leaves it out) and returns it. It outlives every `tidy`. */
  protected parameter<T extends Tensor | null>(name: string, tensor: T): T {
    this.checkName(name);
    if (tensor === null) return tensor;
    this.revision++;
    tensor.keep().requiresGrad = true;
    this.ownParameters.set(name, tensor);
    return tensor;
  }

  /** Declares a tensor that is saved but not trained, and returns it. It outlives every `tidy`. */
  protected buffer<T extends Tensor | null>(name: string, tensor: T, { persistent = true, ...entry }: BufferOptions = {}): T {
    this.checkName(name);
    if (tensor === null) return tensor;
    this.revision++;
    this.ownBuffers.set(name, { ...entry, tensor: tensor.keep(), persistent });
    return tensor;
  }

  /** Takes the declaration of a parameter back. */
  protected removeParameter(name: string): void {
    this.revision++;
    this.ownParameters.get(name)?.dispose();
    this.ownParameters.delete(name);
  }

  /** Takes the declaration of a buffer back. */
  protected removeBuffer(name: string): void {
    this.revision++;
    this.ownBuffers.get(name)?.tensor.dispose();
    this.ownBuffers.delete(name);
  }

  /** Declares a child and returns it. */
  protected child<T extends Module>(name: string, module: T): T {
    this.checkName(name);
    this.adopt(name, module);
    return module;
  }

  private adopt(name: string, module: Module): void {
    this.revision++;
    this.ownChildren.set(name, module);
    module.place = { parent: this, name };
  }

  /** Where the module is in the network, as in the keys of `stateDict`: "2.branch.1"; "" for the outermost. */
  get path(): string {
    if (this.place === null) return "";
    const { parent, name } = this.place;
    return parent.path === "" ? name : `${parent.path}.${name}`;
  }

  /** Name of the class and, within a network, the path: what errors begin with. */
  protected get who(): string {
    return this.path === "" ? this.typeName : `${this.typeName} (layer "${this.path}")`;
  }

  private checkName(name: string): void {
    const taken = this.ownParameters.has(name) || this.ownBuffers.has(name) || this.ownChildren.has(name);
    if (name === "" || name.includes(".") || taken) {
      const problem = taken ? "a name that is not taken" : "a name that is not empty and has no dot";
      throw new OptionError(`${this.typeName}: expected ${problem} for a parameter, buffer or child, got "${name}".`);
    }
  }

  /**
   * Puts `module` in the place of the child `name`, also in every property that holds the old one, and returns the old one.
   *
   * @throws OptionError if there is no such child
   */
  replaceChild(name: string, module: Module): Module {
    const old = this.ownChildren.get(name);
    if (old === undefined) {
      const names = [...this.ownChildren.keys()].join(", ") || "none";
      throw new OptionError(`${this.typeName}.replaceChild: expected the name of a child (${names}), got "${name}".`);
    }
    old.place = null;
    old.revision++;
    this.adopt(name, module);
    const properties = this as unknown as Record<string, unknown>;
    for (const key of Object.keys(properties)) if (properties[key] === old) properties[key] = module;
    return old;
  }

  // ---- running ----

  /** Runs the module: hooks before, `forward`, hooks after. */
  call(...inputs: Parameters<this["forward"]>): Tensor {
    watch(this);
    if (!this.hasHooks) return this.forward(...(inputs as Tensor[]));
    leaveToHooks(this.who);
    const seen = this.before(inputs as Tensor[]);
    return this.after(seen, this.forward(...seen));
  }

  /** The inputs after the hooks before `forward`. */
  private before(inputs: readonly Tensor[]): readonly Tensor[] {
    let current = inputs;
    for (const hook of this.preHooks.list()) {
      const changed = hook(this, current);
      if (changed) current = changed instanceof Tensor ? [changed] : changed;
    }
    return current;
  }

  /** The output after the hooks behind `forward`. */
  private after(inputs: readonly Tensor[], y: Tensor): Tensor {
    let output = y;
    for (const hook of this.hooks.list()) output = hook(this, inputs, output) || output;
    return output;
  }

  /** Whether, as things are, an example's output depends on the others in the batch (through this module, not its children). */
  get mixesExamples(): boolean {
    return false;
  }

  /**
   * Runs all parts of one batch together: every batch normalization normalizes each part by the statistics of the whole, and
   * moves its running values once, so that outputs and gradients are those of one big batch, in less memory. The loss is
   * then summed over the parts, and `backward` called once.
   *
   * Memory: between batch normalizations only their inputs are kept; `backward` computes the rest again. Modules of your own
   * that have batch normalization below them say how their parts advance by `forwardTogether`.
   *
   * @param parts inputs, [Nᵢ, …] each
   * @returns the outputs, in order
   * @throws TrainingError if a module mixes the examples of a batch and has no rule for parts
   */
  callTogether(parts: readonly Tensor[]): Tensor[] {
    watch(this);
    if (!this.hasHooks) return this.forwardTogether(parts);
    leaveToHooks(this.who);
    const seen = parts.map((x) => this.before([x])[0]!);
    return this.forwardTogether(seen).map((y, i) => this.after([seen[i]!], y));
  }

  /** What `callTogether` computes, without hooks; as a rule part after part. */
  forwardTogether(parts: readonly Tensor[]): Tensor[] {
    const mixing = this.modules().find((module) => module.mixesExamples);
    if (mixing !== undefined) {
      throw new TrainingError(
        `${this.who}: expected a module that has a rule for parts of a batch, since ${mixing.who} mixes the examples of a batch; ` +
          "write forwardTogether, or build it of Sequential and Residual.",
      );
    }
    return parts.map((x) => this.forward(x));
  }

  /** Whether anybody looks at what goes in or comes out of this very module (not of its children). */
  get hasHooks(): boolean {
    return this.hooks.size > 0 || this.preHooks.size > 0;
  }

  /** Calls `hook` after each `call`, in the order of registration; returns what removes it. For `sampling` see `HookSampling`. */
  registerForwardHook(hook: ForwardHook, sampling?: HookSampling): RemoveHook {
    return this.hooks.add(hook, sampling);
  }

  /** Calls `hook` before each `call`, in the order of registration; returns what removes it. */
  registerForwardPreHook(hook: ForwardPreHook): RemoveHook {
    return this.preHooks.add(hook);
  }

  // ---- what a module consists of; all maps are in PyTorch's order: own first, then children as registered ----

  namedChildren(): Map<string, Module> {
    return new Map(this.ownChildren);
  }

  children(): Module[] {
    watch(this);
    return [...this.ownChildren.values()];
  }

  /** This module (under `prefix`, "" by default) and all below it, each once, by dotted path. */
  namedModules(prefix = ""): Map<string, Module> {
    const found = new Map<string, Module>();
    const seen = new Set<Module>();
    const visit = (path: string, module: Module): void => {
      if (seen.has(module)) return;
      seen.add(module);
      found.set(path, module);
      for (const [name, child] of module.ownChildren) visit(path === "" ? name : `${path}.${name}`, child);
    };
    visit(prefix, this);
    return found;
  }

  modules(): Module[] {
    return [...this.namedModules().values()];
  }

  /** All parameters, each once, by key. */
  namedParameters(): Map<string, Tensor> {
    return this.collect((module) => module.ownParameters);
  }

  parameters(): Tensor[] {
    return [...this.namedParameters().values()];
  }

  /** All buffers, each once, by key; also those that are not saved. */
  namedBuffers(): Map<string, Tensor> {
    return this.collect((module) => new Map([...module.ownBuffers].map(([name, { tensor }]) => [name, tensor])));
  }

  buffers(): Tensor[] {
    return [...this.namedBuffers().values()];
  }

  private collect(own: (module: Module) => ReadonlyMap<string, Tensor>): Map<string, Tensor> {
    const found = new Map<string, Tensor>();
    const seen = new Set<Tensor>();
    for (const [path, module] of this.namedModules()) {
      module.checkReady();
      for (const [name, tensor] of own(module)) {
        if (seen.has(tensor)) continue;
        seen.add(tensor);
        found.set(path === "" ? name : `${path}.${name}`, tensor);
      }
    }
    return found;
  }

  /** Number of values in all parameters. */
  numParameters(): number {
    return this.parameters().reduce((sum, p) => sum + p.size, 0);
  }

  // ---- state ----

  /** Parameters and buffers under PyTorch's keys. The tensors are handles on the module's own memory, not copies. */
  stateDict(): Map<string, Tensor> {
    return new Map([...this.stateEntries()].map(([key, { tensor }]) => [key, tensor.detach()]));
  }

  /**
   * Copies the values of `state` into the parameters and buffers, which stay the same tensors. Everything is checked first:
   * after an error nothing has changed. A missing `num_batches_tracked` is no error, since old files have none.
   *
   * @throws StateDictError naming every key that is missing, unexpected, of another shape or dtype, or of impossible value
   */
  loadStateDict(state: ReadonlyMap<string, Tensor>, options: LoadOptions = {}): LoadResult {
    const modules = [...this.namedModules()];
    const undo = modules.map(([path, module]) => module.prepareLoad(partOf(state, path)));
    try {
      const result = loadState(`${this.typeName}.loadStateDict`, this.stateEntries(), state, options);
      for (const [path, module] of modules) module.afterLoad(partOf(state, path));
      return result;
    } catch (error) {
      for (const fn of undo.reverse()) fn?.();
      throw error;
    }
  }

  /** Refuses to show parameters and buffers that are not there yet; for modules that learn their sizes from data. */
  protected checkReady(): void {}

  /** Before a load: makes room for what `state` has under this module's own keys. Returns what takes it back if the load fails. */
  protected prepareLoad(_state: ReadonlyMap<string, Tensor>): (() => void) | undefined {
    return undefined;
  }

  /** After a load: takes over what the module keeps outside its tensors. */
  protected afterLoad(_state: ReadonlyMap<string, Tensor>): void {}

  /** A module that is used twice appears under both keys. */
  private stateEntries(prefix = "", into = new Map<string, StateEntry>()): Map<string, StateEntry> {
    this.checkReady();
    for (const [name, tensor] of this.ownParameters) into.set(prefix + name, { tensor });
    for (const [name, entry] of this.ownBuffers) if (entry.persistent) into.set(prefix + name, entry);
    for (const [name, child] of this.ownChildren) child.stateEntries(`${prefix}${name}.`, into);
    return into;
  }

  // ---- modes ----

  /** Puts this module and all below it into training mode, or into evaluation mode; returns this. */
  train(mode = true): this {
    for (const module of this.modules()) module.training = mode;
    return this;
  }

  /** Puts this module and all below it into evaluation mode; returns this. */
  eval(): this {
    return this.train(false);
  }

  /** Whether all parameters are to be trained; returns this. */
  requiresGrad_(flag = true): this {
    for (const p of this.parameters()) p.requiresGrad = flag;
    return this;
  }

  /** Drops the gradients of all parameters. */
  zeroGrad(): void {
    for (const p of this.parameters()) p.grad = null;
  }

  /** Calls `fn` on every module below this one, children first, and on this one last; returns this. */
  apply(fn: (module: Module) => void): this {
    for (const child of this.ownChildren.values()) child.apply(fn);
    fn(this);
    return this;
  }

  /** Gives back the memory of all parameters, their gradients and all buffers. Harmless when repeated. */
  dispose(): void {
    this.zeroGrad();
    for (const tensor of [...this.parameters(), ...this.buffers()]) tensor.dispose();
  }

  [Symbol.dispose](): void {
    this.dispose();
  }

  // ---- printing ----

  /** Name of the class. */
  get typeName(): string {
    return this.constructor.name;
  }

  /** The options, as `toString` shows them in parentheses; "" if there are none. */
  protected describe(): string {
    return "";
  }

  /** The module and its children, one a line, with their options. */
  toString(): string {
    if (this.ownChildren.size === 0) return `${this.typeName}(${this.describe()})`;
    const lines = [...this.ownChildren].map(([name, child]) => `  (${name}): ${child.toString().replaceAll("\n", "\n  ")}`);
    return `${this.typeName}(${this.describe()}\n${lines.join("\n")}\n)`;
  }

  [Symbol.for("nodejs.util.inspect.custom")](): string {
    return this.toString();
  }
}

/** The entries under `path`, without it. */
function partOf(state: ReadonlyMap<string, Tensor>, path: string): Map<string, Tensor> {
  const prefix = path === "" ? "" : `${path}.`;
  const own = [...state].filter(([key]) => key.startsWith(prefix));
  return new Map(own.map(([key, value]) => [key.slice(prefix.length), value]));
}
