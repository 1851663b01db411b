import { OptionError } from "../core/errors.js";
import { philox, Random, seedWords } from "../core/random.js";

/** What a random order is for: two uses of one seed draw from different streams. */
const purposes = { shuffle: 1, split: 2, subset: 3, synthetic: 4 } as const;

/**
 * A random stream that depends on the seed, its purpose and a counter such as the epoch, and on nothing else.
 * @throws OptionError if the seed is no integer from 0 to 2^53 − 1
 */
export function randomFor(who: string, seed: number, purpose: keyof typeof purposes, counter = 0): Random {
  if (!Number.isSafeInteger(seed) || seed < 0) {
    throw new OptionError(`${who}: expected a seed from 0 to 2^53 - 1, got ${seed}.`);
  }
  // The kernels' counters have 0 in the second word and those of `Random` 1; with 2 there the three never meet.
  const words = philox([counter, 2, purposes[purpose], 0], seedWords(seed));
  return new Random((words[0]! >>> 11) * 2 ** 32 + words[1]!);
}
