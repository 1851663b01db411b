import { TrainingError } from "../core/errors.js";
import { preserving } from "../instruments/measure.js";
import type { BatchNorm, Module } from "../nn/index.js";
import { withoutStatsUpdate } from "../nn/stats-update.js";
import { channelMoments } from "../ops/index.js";
import type { Tensor } from "../tensor/tensor.js";
import { type Batches, forEachBatch } from "./batches.js";
import { PooledMoments } from "./pooled-moments.js";

/** What one layer saw over all batches. */
export interface Pool {
  readonly moments: PooledMoments;
  /** Inputs that it saw: one for each batch, or more if the layer runs several times. */
  visits: number;
}

/** Looks at what goes into layers, and pools it. */
class Pools {
  private readonly pools = new Map<BatchNorm, Pool>();

  constructor(
    private readonly who: string,
    private readonly layers: ReadonlyMap<string, BatchNorm>,
  ) {}

  /** Runs `fn` while the layers are looked at. */
  watch(fn: () => void): Map<string, Pool> {
    const hooks = [...this.layers].map(([path, layer]) => layer.registerForwardPreHook((_, [x]) => this.see(path, layer, x!)));
    try {
      fn();
    } finally {
      for (const remove of hooks) remove();
    }
    return new Map([...this.layers].map(([path, layer]) => [path, this.pool(path, layer)]));
  }

  private see(path: string, layer: BatchNorm, x: Tensor): void {
    const pool = this.pools.get(layer) ?? { moments: new PooledMoments(x.shape[1]!), visits: 0 };
    this.pools.set(layer, pool);
    if (x.size === 0) return;
    const values = channelMoments([x]).data();
    const wrong = values.findIndex((value) => !Number.isFinite(value));
    if (wrong >= 0) {
      const channel = wrong % pool.moments.channels;
      throw new TrainingError(
        `${this.who}: expected finite inputs of layer "${path}", got ${values[wrong]} in channel ${channel}. Nothing was changed.`,
      );
    }
    pool.moments.add(x.size / pool.moments.channels, values);
    pool.visits++;
  }

  private pool(path: string, layer: BatchNorm): Pool {
    const pool = this.pools.get(layer);
    if (pool === undefined)
      throw new TrainingError(`${this.who}: expected layer "${path}" to run, but no batch passes through it.`);
    if (pool.moments.count < 2) {
      throw new TrainingError(
        `${this.who}: Expected more than 1 value per channel for layer "${path}", got ${pool.moments.count}.`,
      );
    }
    return pool;
  }
}

/**
 * Pools mean and variance of what goes into layers over all batches. The model is afterwards what it was, bit for bit, also when
 * something throws; dropout is off.
 *
 * @param byBatch layers that normalize by the statistics of their batch meanwhile; all others run as in evaluation
 * @throws TrainingError if an input is not finite, or a layer does not run
 */
export function poolInputs(
  who: string,
  model: Module,
  batches: Batches,
  layers: ReadonlyMap<string, BatchNorm>,
  byBatch: Iterable<BatchNorm>,
): Map<string, Pool> {
  return preserving(who, model, () => {
    model.eval();
    for (const layer of byBatch) layer.training = true;
    const pass = () => forEachBatch(who, batches, (x) => void withoutStatsUpdate(() => model.call(x)));
    return new Pools(who, layers).watch(pass);
  });
}
