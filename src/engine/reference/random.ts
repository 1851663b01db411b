import { normalOfWord, philox, uniformOfWord } from "../../core/random.js";
import type { Args, NumericArray } from "./arrays.js";

/**
 * Visits n random words. Word i is number i mod 4 of the Philox block at counter (⌊i/4⌋, 0, draws low, draws high) under the
 * key (seed low, seed high); state is these four, seed first.
 */
function forEachWord(state: NumericArray, n: number, visit: (i: number, word: number) => void): void {
  const words = new Uint32Array(4);
  for (let i = 0; i < n; i++) {
    if (i % 4 === 0) philox([i / 4, 0, state[2]!, state[3]!], [state[0]!, state[1]!], words);
    visit(i, words[i % 4]!);
  }
}

/** y = low + u·(high - low), u = ⌊word / 2^8⌋·2^-24. */
export function randomUniform({ state, y, n, low, high }: Args<"randomUniform">): void {
  forEachWord(state, n, (i, word) => {
    y[i] = low + uniformOfWord(word) * (high - low);
  });
}

/** y = mean + std·z, z the standard normal quantile of (word + ½)·2^-32. */
export function randomNormal({ state, y, n, mean, std }: Args<"randomNormal">): void {
  forEachWord(state, n, (i, word) => {
    y[i] = mean + std * normalOfWord(word);
  });
}

/** y = 1/(1 - p) where u ≥ p, else 0, with u as in randomUniform: an element is kept with probability 1 - p. */
export function dropoutMask({ state, y, n, p }: Args<"dropoutMask">): void {
  forEachWord(state, n, (i, word) => {
    y[i] = uniformOfWord(word) >= p ? 1 / (1 - p) : 0;
  });
}

/** Adds 1 to the number of draws, 64 bits in state[2] (low) and state[3] (high). */
export function advanceRandom({ state }: Args<"advanceRandom">): void {
  state[2] = (state[2]! + 1) | 0;
  if (state[2] === 0) state[3] = (state[3]! + 1) | 0;
}
