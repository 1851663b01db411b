import { OptionError } from "../core/errors.js";
import { currentBackend } from "../engine/current.js";
import { add, mul } from "../ops/binary.js";
import { reshape } from "../ops/shape.js";
import { tensor } from "../tensor/create.js";
import { Tensor } from "../tensor/tensor.js";
import { type DataSet, isImageSet } from "./dataset.js";
import { residentOf } from "./resident.js";
import { randomFor } from "./seed.js";
import { allIndices, type Indices } from "./split.js";

export interface LoaderOptions {
  /** Examples in a batch. */
  batchSize: number;
  /** Whether each epoch has an order of its own (default false). */
  shuffle?: boolean;
  /** Seed of the orders (default 0). */
  seed?: number;
  /**
   * What becomes of a last batch that is not full: "keep" it, "drop" it, or "merge" it into the one before where it has
   * at most half of `batchSize` examples, since the statistics of a short batch are poor (default "keep").
   */
  dropLast?: "keep" | "drop" | "merge";
  /** The examples to use (default: all). */
  indices?: Indices;
  /**
   * Images become `byte * scale + shift` (defaults 1/255 and 0), one number, or one for each channel. Tables are left as they
   * are.
   */
  scale?: number | readonly number[];
  shift?: number | readonly number[];
  /** Whether images come as rows [N, C·H·W] instead of [N, C, H, W] (default false). */
  flatten?: boolean;
}

/**
 * Batches of a data set. An epoch is a list of index batches, views into one order; examples are not copied here. The
 * order depends on the seed and the epoch's number alone, so that training can be resumed at any batch.
 *
 * @example
 * const loader = new DataLoader(set, { batchSize: 64, shuffle: true, seed: 7 });
 * for (const batch of loader.epoch(0)) console.log(batch.length);
 * @throws OptionError if an option cannot be used, or no batch is left
 */
export class DataLoader<S extends DataSet = DataSet> {
  readonly batchSize: number;
  readonly seed: number;
  readonly shuffle: boolean;
  readonly dropLast: "keep" | "drop" | "merge";
  readonly scale: number | readonly number[];
  readonly shift: number | readonly number[];
  readonly flatten: boolean;
  /** Batches in an epoch. */
  readonly length: number;
  /** Examples in an epoch. */
  readonly count: number;
  readonly #indices: Indices;
  #channels: { scale: Tensor; shift: Tensor } | null = null;

  constructor(
    readonly set: S,
    options: LoaderOptions,
  ) {
    const {
      batchSize,
      shuffle = false,
      seed = 0,
      dropLast = "keep",
      indices,
      scale = 1 / 255,
      shift = 0,
      flatten = false,
    } = options;
    if (!Number.isInteger(batchSize) || batchSize < 1) {
      throw new OptionError(`DataLoader: expected batchSize to be a positive integer, got ${batchSize}.`);
    }
    if (!["keep", "drop", "merge"].includes(dropLast)) {
      throw new OptionError(`DataLoader: expected dropLast to be "keep", "drop" or "merge", got ${JSON.stringify(dropLast)}.`);
    }
    checkPixels(set, scale, shift);
    if (shuffle) randomFor("DataLoader", seed, "shuffle");
    this.#indices = checkIndices(set, indices);
    const available = this.#indices.length;
    const rest = available % batchSize;
    const full = (available - rest) / batchSize;
    const merged = full > 0 && dropLast === "merge" && 2 * rest <= batchSize;
    this.length = rest === 0 || dropLast === "drop" || merged ? full : full + 1;
    this.count = dropLast === "drop" ? available - rest : available;
    if (this.length === 0) {
      throw new OptionError(
        `DataLoader: expected at least one batch, got ${available} examples for batches of ${batchSize} with dropLast ` +
          `"${dropLast}".`,
      );
    }
    this.batchSize = batchSize;
    this.shuffle = shuffle;
    this.seed = seed;
    this.dropLast = dropLast;
    this.scale = scale;
    this.shift = shift;
    this.flatten = flatten;
  }

  /**
   * The index batches of epoch `epoch`, from 0.
   * @param from the first batch to give, for resuming in the middle of an epoch (default 0)
   */
  *epoch(epoch: number, from = 0): Generator<Indices, void, undefined> {
    const order = this.order(epoch);
    for (let b = from; b < this.length; b++) {
      const end = b === this.length - 1 ? this.count : (b + 1) * this.batchSize;
      yield order.subarray(b * this.batchSize, end);
    }
  }

  /** Positions in the data set in the order in which epoch `epoch` visits them, all of them. */
  order(epoch: number): Indices {
    if (!Number.isInteger(epoch) || epoch < 0) throw new OptionError(`DataLoader: expected an epoch from 0 on, got ${epoch}.`);
    if (!this.shuffle) return this.#indices.slice();
    const order = randomFor("DataLoader", this.seed, "shuffle", epoch).permutation(this.#indices.length);
    for (let i = 0; i < order.length; i++) order[i] = this.#indices[order[i]!]!;
    return order;
  }

  /**
   * The examples at `indices` and their labels as tensors on the current backend. The whole set is copied there once; each
   * batch is then gathered by the engine.
   *
   * @returns images [N, C, H, W], or [N, C·H·W] with `flatten`; table rows [N, width]. Labels [N], int32 for classes
   * @throws OptionError if an index names no example
   */
  tensors(indices: Indices): { inputs: Tensor; targets: Tensor } {
    const index = this.indexTensor(indices);
    const batch = this.gather(index);
    index.dispose();
    return batch;
  }

  /**
   * Positions in the data set as a tensor for `gather`, int32 [N]. The whole set is copied to the current backend first, once.
   * @throws OptionError if an index names no example
   */
  indexTensor(indices: Indices): Tensor {
    // The kernels trust indices.
    checkRange(this.set, indices);
    residentOf(this.set);
    if (isImageSet(this.set)) this.channels();
    return tensor(indices);
  }

  /** Scale and shift as tensors [C, 1, 1] on the current backend, if they differ by channel. */
  private channels(): { scale: Tensor; shift: Tensor } | null {
    const { scale, shift } = this;
    if (typeof scale === "number" && typeof shift === "number") return null;
    const backend = currentBackend();
    if (this.#channels?.scale.backend === backend) return this.#channels;
    const c = this.set.shape[0]!;
    const [scales, shifts] = [scale, shift].map((x) =>
      tensor(typeof x === "number" ? Array(c).fill(x) : [...x], [c, 1, 1]).keep(),
    );
    this.#channels = { scale: scales!, shift: shifts! };
    return this.#channels;
  }

  /** What `tensors` gives, for positions from `indexTensor`; may be part of a recorded step. */
  gather(index: Tensor): { inputs: Tensor; targets: Tensor } {
    const { set, scale, shift } = this;
    const backend = currentBackend();
    const resident = residentOf(set);
    const n = index.size;
    const width = set.shape.reduce((product, size) => product * size, 1);
    const shape = this.flatten ? [n, width] : [n, ...set.shape];
    let inputs = Tensor.empty(backend, isImageSet(set) && this.channels() ? [n, ...set.shape] : shape);
    const rows = { x: resident.examples, index: index.storage, y: inputs.storage, n, width };
    if (isImageSet(set)) {
      const channels = this.channels();
      const pixels = channels === null ? { scale: scale as number, shift: shift as number } : { scale: 1, shift: 0 };
      backend.call("gatherBytes", { ...rows, ...pixels });
      if (channels !== null) inputs = reshape(add(mul(inputs, channels.scale), channels.shift), shape);
    } else backend.call("gatherRows", rows);
    const targets = Tensor.empty(backend, [n], resident.labels.dtype === "int32" ? "int32" : "float32");
    backend.call("gatherRows", { x: resident.labels, index: index.storage, y: targets.storage, n, width: 1 });
    return { inputs, targets };
  }
}

/** One number, or one for each channel of the images. */
function checkPixels(set: DataSet, ...given: (number | readonly number[])[]): void {
  for (const x of given) {
    const list = typeof x === "number" ? [x] : x;
    const isRight = typeof x === "number" || (isImageSet(set) && x.length === set.shape[0]);
    if (isRight && list.every(Number.isFinite)) continue;
    const hint = given.every((g) => typeof g === "number") ? "" : " Lists need one for each channel of the images.";
    throw new OptionError(`DataLoader: expected finite numbers as scale and shift, got ${given.join(" and ")}.${hint}`);
  }
}

function checkIndices(set: DataSet, indices: Indices | undefined): Indices {
  if (indices === undefined) return allIndices(set.count);
  checkRange(set, indices);
  return indices.slice();
}

function checkRange(set: DataSet, indices: Indices): void {
  const wrong = indices.findIndex((i) => i < 0 || i >= set.count);
  if (wrong >= 0) {
    throw new OptionError(`DataLoader: expected indices from 0 to ${set.count - 1}, got ${indices[wrong]} at position ${wrong}.`);
  }
}
