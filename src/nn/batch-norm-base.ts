import { OptionError, ShapeError, TrainingError } from "../core/errors.js";
import { formatShape, sizeOf } from "../core/shape.js";
import { withBackend } from "../engine/current.js";
import { batchNormByMoments, channelMoments } from "../ops/batch-moments.js";
import { batchNorm } from "../ops/batch-norm.js";
import { moveRunning } from "../ops/batch-norm-composed.js";
import { presentCount } from "../ops/batch-norm-masked.js";
import {
  type BatchNormOptions,
  checkBatchNorm,
  checkBatchNormOperands,
  checkBatchNormSettings,
} from "../ops/batch-norm-options.js";
import { full, ones, zeros } from "../tensor/create.js";
import { tidy } from "../tensor/scope.js";
import type { Tensor } from "../tensor/tensor.js";
import { type BatchNormLayerOptions, type ResolvedBatchNormOptions, resolveBatchNormOptions } from "./batch-norm-options.js";
import type { BatchStatistics } from "./batch-statistics.js";
import { AFFINE, checkFrozen, STATS } from "./frozen.js";
import * as init from "./init.js";
import { Module } from "./module.js";
import { checkInteger } from "./options.js";
import { checkVariance, DEFAULT_SET, RunningStats, setKeys } from "./running-stats.js";
import { isUpdatingStats } from "./stats-update.js";

/** What BatchNorm1d, 2d and 3d have in common: all but the shapes they take. */
export abstract class BatchNorm extends Module {
  /** Accepted inputs, a letter an axis; C is numFeatures. */
  protected abstract readonly layouts: readonly string[];

  readonly eps: number;
  /** See BatchNormLayerOptions; may be changed between batches. */
  momentum: number | null;
  /** If it is switched off later, training no longer moves the running values, and evaluation still uses them, as in PyTorch. */
  trackRunningStats: boolean;
  readonly unbiasedRunningVar: boolean;
  /** See BatchNormLayerOptions; may be changed between batches. */
  detachStats: boolean;
  readonly compat: "torch" | null;
  protected readonly options: ResolvedBatchNormOptions;

  private channels = 0;
  private gamma: Tensor | null = null;
  private beta: Tensor | null = null;
  private readonly sets = new Map<string, RunningStats>();
  private set = DEFAULT_SET;
  /** Bits STATS and AFFINE. */
  private frozenBits = 0;
  /** The same as a buffer, so that it is saved with the rest, while anything is frozen. */
  private frozenCell: Tensor | null = null;

  /** @param numFeatures channels C; null for a layer that learns it from its first input */
  constructor(numFeatures: number | null, options: BatchNormLayerOptions = {}) {
    super();
    this.options = resolveBatchNormOptions(this.typeName, options);
    const { eps, momentum, trackRunningStats, unbiasedRunningVar, detachStats, compat } = this.options;
    if (numFeatures !== null) checkInteger(this.typeName, "numFeatures", numFeatures);
    this.eps = eps;
    this.momentum = momentum;
    this.trackRunningStats = trackRunningStats;
    this.unbiasedRunningVar = unbiasedRunningVar;
    this.detachStats = detachStats;
    this.compat = compat;
    if (numFeatures !== null) this.materialize(numFeatures);
  }

  /** Makes parameters and running values for `channels` channels. */
  protected materialize(channels: number): void {
    const { weight, bias, trackRunningStats } = this.options;
    this.channels = channels;
    this.gamma = this.parameter("weight", weight ? ones([channels]) : null);
    this.beta = this.parameter("bias", bias ? zeros([channels]) : null);
    if (trackRunningStats) this.addSet(DEFAULT_SET);
  }

  /** Takes `materialize` back. */
  protected dematerialize(): void {
    for (const name of this.statsNames) this.removeSet(name);
    for (const name of ["weight", "bias"]) this.removeParameter(name);
    this.channels = 0;
    this.gamma = null;
    this.beta = null;
  }

  // ---- what it consists of ----

  /** Channels C. */
  get numFeatures(): number {
    return this.channels;
  }

  /** γ, [C], from 1. */
  get weight(): Tensor | null {
    return this.gamma;
  }

  /** β, [C], from 0. */
  get bias(): Tensor | null {
    return this.beta;
  }

  /** Whether there are γ and β. */
  get affine(): boolean {
    return this.options.weight && this.options.bias;
  }

  /** [C], from 0. This and the following are those of the set in use (see `use`). */
  get runningMean(): Tensor | null {
    return this.running?.mean ?? null;
  }

  /** [C], from 1. */
  get runningVar(): Tensor | null {
    return this.running?.variance ?? null;
  }

  /** Batches that moved the running values, one int32. */
  get numBatchesTracked(): Tensor | null {
    return this.running?.numBatches ?? null;
  }

  /** For each channel, how often its statistics were not finite and therefore kept out of the running values; int32 [C], not saved. */
  get rejected(): Tensor | null {
    return this.running?.rejected ?? null;
  }

  private get running(): RunningStats | null {
    return this.sets.get(this.set) ?? null;
  }

  // ---- sets of running statistics ----

  /** Name of the set of running statistics in use ("default" from the start). */
  get statsName(): string {
    return this.set;
  }

  /** Names of all sets. */
  get statsNames(): string[] {
    return [...this.sets.keys()];
  }

  /**
   * Changes to another set of running statistics, which begins at mean 0 and variance 1 if it is new; γ and β are shared. For
   * inputs of several kinds in one network (real and generated images, source and target domain), whose statistics must not
   * be mixed. Further sets are saved as "running_mean@name" and so on. Returns this.
   *
   * @throws OptionError if the layer keeps no running values, or `name` has other signs than letters, digits, _ and -
   * @see Chang et al. 2019, "Domain-specific batch normalization"; Wu & Johnson 2021, section 5
   */
  use(name = DEFAULT_SET): this {
    if (!this.options.trackRunningStats) throw new OptionError(`${this.who}.use: the layer keeps no running statistics.`);
    if (!/^[\w-]+$/.test(name)) {
      throw new OptionError(`${this.who}.use: expected a name of letters, digits, _ and -, got ${JSON.stringify(name)}.`);
    }
    this.checkReady();
    if (!this.sets.has(name)) this.addSet(name);
    this.set = name;
    return this;
  }

  private addSet(name: string): void {
    const stats = new RunningStats(this.channels);
    this.sets.set(name, stats);
    const key = setKeys(name);
    this.buffer(key.mean, stats.mean);
    this.buffer(key.variance, stats.variance, { check: checkVariance });
    this.buffer(key.numBatches, stats.numBatches, { mayBeMissing: true });
    this.buffer(key.rejected, stats.rejected, { persistent: false });
  }

  private removeSet(name: string): void {
    for (const key of Object.values(setKeys(name))) this.removeBuffer(key);
    this.sets.delete(name);
  }

  // ---- freezing ----

  /** What is frozen. */
  get frozen(): { stats: boolean; affine: boolean } {
    return { stats: (this.frozenBits & STATS) !== 0, affine: (this.frozenBits & AFFINE) !== 0 };
  }

  /**
   * Freezes the layer until `unfreeze`, whatever `train()` says: with `stats` it normalizes by its running values in training,
   * too, and leaves them alone; with `affine` γ and β get no gradient. Saved with the state. Returns this.
   *
   * @param options.stats (default true)
   * @param options.affine (default true)
   * @throws OptionError if statistics are to be frozen in a layer that keeps none
   */
  freeze({ stats = true, affine = true }: { stats?: boolean; affine?: boolean } = {}): this {
    if (stats && !this.options.trackRunningStats) {
      throw new OptionError(`${this.who}.freeze: the layer keeps no running statistics; pass { stats: false }.`);
    }
    this.setFrozen((stats ? STATS : 0) | (affine ? AFFINE : 0));
    return this;
  }

  /** Takes `freeze` back; returns this. */
  unfreeze(): this {
    this.setFrozen(0);
    return this;
  }

  private setFrozen(bits: number): void {
    this.frozenBits = bits;
    if (this.frozenCell !== null) this.removeBuffer("frozen");
    this.frozenCell = bits === 0 ? null : this.addFrozenCell(bits);
    if (this.frozen.affine) for (const p of [this.gamma, this.beta]) if (p !== null) p.grad = null;
  }

  private addFrozenCell(bits: number): Tensor {
    const check = checkFrozen(this.options.trackRunningStats);
    return this.buffer("frozen", full([], bits, { dtype: "int32" }), { mayBeMissing: true, check });
  }

  // ---- state ----

  protected override prepareLoad(state: ReadonlyMap<string, Tensor>): (() => void) | undefined {
    const { frozenBits } = this;
    if (state.has("frozen")) this.frozenCell ??= this.addFrozenCell(0);
    const names = [...state.keys()].flatMap((key) => /^running_mean@([\w-]+)$/.exec(key)?.[1] ?? []);
    const added = this.options.trackRunningStats ? names.filter((name) => !this.sets.has(name)) : [];
    for (const name of added) this.addSet(name);
    return () => {
      for (const name of added) this.removeSet(name);
      this.setFrozen(frozenBits);
    };
  }

  protected override afterLoad(state: ReadonlyMap<string, Tensor>): void {
    if (state.has("frozen")) this.setFrozen(this.frozenCell!.item());
    // The batches that were kept out are not saved: those of another history do not count.
    for (const [name, stats] of this.sets) if (state.has(setKeys(name).mean)) init.zeros(stats.rejected);
  }

  /** Puts running mean, variance and both counters of the set in use back to 0, 1 and 0. */
  resetRunningStats(): void {
    this.running?.reset();
  }

  /** Puts γ to 1, β to 0, and resets the running values. */
  resetParameters(): void {
    this.resetRunningStats();
    if (this.gamma !== null) init.ones(this.gamma);
    if (this.beta !== null) init.zeros(this.beta);
  }

  // ---- running ----

  /** Whether the batch's own statistics are used, as things are. */
  override get mixesExamples(): boolean {
    return (this.training && !this.frozen.stats) || this.running === null;
  }

  /**
   * @param x as the class says
   * @param mask [N] or [N, …] without the channel axis: 0 where there is only padding. Statistics leave it out; y is 0 there
   */
  forward(x: Tensor, mask?: Tensor): Tensor {
    return this.normalize(x, { mask: mask ?? null });
  }

  /** The layer and a ReLU behind it in one pass over memory; the same bits as one after the other. */
  forwardRelu(x: Tensor): Tensor {
    return this.normalize(x, { activation: "relu" });
  }

  protected normalize(x: Tensor, extra: BatchNormOptions): Tensor {
    this.checkInput(x);
    const options = { ...this.callOptions(), ...extra };
    if (this.compat === "torch") this.count(x, options);
    // From here on nothing can be refused: only now may the counter move. An empty batch is no batch.
    checkBatchNorm(x, options);
    if (this.compat !== "torch" && x.size > 0) tidy(() => this.count(x, options, extra.mask ? presentCount(extra.mask) : null));
    return tidy(() => batchNorm(x, { ...options, ...this.scaleAndShift(() => channelMoments([x]), options) }));
  }

  /** γ and β of this call; `moments` takes those of the batch. For layers that correct by the running values. */
  protected scaleAndShift(_moments: () => Tensor, { weight, bias }: BatchNormOptions): Pick<BatchNormOptions, "weight" | "bias"> {
    return { weight: weight ?? null, bias: bias ?? null };
  }

  /** Counts a batch; with a condition only if that is not 0. */
  private count(x: Tensor, { training, counter }: BatchNormOptions, condition: Tensor | null = null): void {
    if (!training || !counter) return;
    x.backend.call("addToInt", { cell: counter.storage, amount: 1, condition: condition?.storage ?? null });
  }

  /** What `batchNorm` is called with, as things are. */
  private callOptions(): BatchNormOptions {
    const { running, eps, momentum, unbiasedRunningVar, detachStats, compat } = this;
    const training = this.mixesExamples;
    const seen = training && !(this.training && this.trackRunningStats && isUpdatingStats()) ? null : running;
    const constant = (t: Tensor | null) => (this.frozen.affine ? (t?.detach() ?? null) : t);
    return {
      runningMean: seen?.mean ?? null,
      runningVar: seen?.variance ?? null,
      counter: seen?.numBatches ?? null,
      rejected: seen?.rejected ?? null,
      weight: constant(this.gamma),
      bias: constant(this.beta),
      training,
      momentum,
      eps,
      unbiasedRunningVar,
      detachStats,
      compat,
      who: this.who,
    };
  }

  /**
   * The first half of normalizing all parts of a batch together: takes their common statistics, moves the running values once,
   * and returns what normalizes a part, with the tensors that this takes beside it. Gradients flow through the statistics to
   * all parts.
   */
  together(parts: readonly Tensor[]): BatchStatistics {
    const options = this.callOptions();
    for (const x of parts) {
      this.checkInput(x);
      checkBatchNormOperands(this.who, x, options);
    }
    checkBatchNormSettings(this.who, options);
    const [first] = parts;
    if (this.compat === "torch" && first !== undefined) this.count(first, options);
    const count = parts.reduce((sum, x) => sum + x.shape[0]! * sizeOf(x.shape.slice(2)), 0);
    if (count === 0) return this.ofNothing(options);
    if (count < 2) {
      throw new TrainingError(
        `${this.who}: Expected more than 1 value per channel when training, got input sizes ${parts.map((x) => formatShape(x.shape)).join(", ")}.`,
      );
    }
    const moments = channelMoments(parts);
    const { weight = null, bias = null } = this.scaleAndShift(() => moments, options);
    if (this.compat !== "torch") this.count(moments, options);
    const cell = withBackend(moments.backend, () => full([], count));
    moveRunning(moments, cell, options);
    cell.dispose();
    const inputs = [this.detachStats ? moments.detach() : moments, weight, bias].filter((t) => t !== null);
    const normalize = (x: Tensor, [m, ...affine]: readonly Tensor[]) => {
      const [gamma, beta] = weight === null ? [null, affine[0] ?? null] : [affine[0]!, affine[1] ?? null];
      return batchNormByMoments(x, m!, { weight: gamma, bias: beta, eps: this.eps });
    };
    return { inputs, normalize };
  }

  /** Parts that are all empty: γ and β get gradients of 0, and nothing moves. */
  private ofNothing({ weight, bias }: BatchNormOptions): BatchStatistics {
    const given = { weight: weight ?? null, bias: bias ?? null };
    return { inputs: [], normalize: (x) => batchNorm(x, { ...given, training: true }) };
  }

  override forwardTogether(parts: readonly Tensor[]): Tensor[] {
    if (!this.mixesExamples) return parts.map((x) => this.forward(x));
    const { inputs, normalize } = this.together(parts);
    return parts.map((x) => normalize(x, inputs));
  }

  /** Refuses an input whose rank the layer does not take. */
  protected checkRank(x: Tensor): void {
    if (this.layouts.some((axes) => axes.length === x.rank)) return;
    const ranks = this.layouts.map((axes) => `${axes.length}D`).join(" or ");
    throw new ShapeError(
      `${this.who}: expected ${ranks} input (got ${x.rank}D input): expected ${this.shapes.join(" or ")}, got ${formatShape(x.shape)}.`,
    );
  }

  private checkInput(x: Tensor): void {
    this.checkRank(x);
    if (x.shape[1] === this.channels) return;
    const expected = this.shapes[this.layouts.findIndex((axes) => axes.length === x.rank)];
    throw new ShapeError(
      `${this.who}: expected input ${expected}, got ${formatShape(x.shape)}. The layer was built with numFeatures = ${this.channels}.`,
    );
  }

  /** Accepted shapes, to be read by people. */
  private get shapes(): string[] {
    const size = (axis: string) => (axis === "C" && this.channels > 0 ? this.channels : axis);
    return this.layouts.map((axes) => `[${[...axes].map(size).join(", ")}]`);
  }

  protected override describe(): string {
    const { channels, eps, momentum, affine, trackRunningStats, options, frozen } = this;
    const parts = [`${channels}`, `eps = ${eps}`, `momentum = ${momentum}`, `affine = ${affine}`];
    if (options.weight !== options.bias) parts[3] = `weight = ${options.weight}, bias = ${options.bias}`;
    parts.push(`trackRunningStats = ${trackRunningStats}`);
    if (!this.unbiasedRunningVar) parts.push("unbiasedRunningVar = false");
    if (this.detachStats) parts.push("detachStats = true");
    if (this.compat !== null) parts.push(`compat = "${this.compat}"`);
    if (this.sets.size > 1) parts.push(`statistics = "${this.set}" of ${this.statsNames.join(", ")}`);
    const what = Object.entries(frozen).filter(([, on]) => on);
    if (what.length > 0) parts.push(`frozen = ${what.map(([name]) => name).join(" and ")}`);
    return parts.join(", ");
  }
}
