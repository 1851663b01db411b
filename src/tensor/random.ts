import { OptionError } from "../core/errors.js";
import type { Backend, Storage } from "../engine/backend.js";
import { currentBackend } from "../engine/current.js";
import { Tensor } from "./tensor.js";

const states = new WeakMap<Backend, Storage>();
let nextSeed = 0;

/** The state of random numbers on a backend, which is made when it is first asked for. */
export function randomStorageOf(backend: Backend): Storage {
  let state = states.get(backend);
  if (state === undefined) {
    state = backend.alloc("int32", 4);
    backend.write(state, [nextSeed | 0, Math.floor(nextSeed / 2 ** 32) | 0, 0, 0]);
    states.set(backend, state);
  }
  return state;
}

/**
 * Starts the random numbers of tensors anew. They are counter-based (Philox4x32-10, Salmon et al. 2011): value i of draw d
 * depends on seed, d and i alone, whatever the number of threads.
 *
 * @param seed an integer from 0 to 2⁵³ − 1 (default seed of a new process: 0)
 */
export function manualSeed(seed: number): void {
  if (!Number.isSafeInteger(seed) || seed < 0) {
    throw new OptionError(`manualSeed: expected an integer from 0 to 2^53 - 1, got ${seed}.`);
  }
  nextSeed = seed;
  const backend = currentBackend();
  backend.write(randomStorageOf(backend), [seed | 0, Math.floor(seed / 2 ** 32) | 0, 0, 0]);
}

/** Passes the state to `draw` and counts the draw. */
export function drawRandom(backend: Backend, draw: (state: Storage) => void): void {
  const state = randomStorageOf(backend);
  draw(state);
  backend.call("advanceRandom", { state });
}

/** The state of random numbers: seed and number of draws, for checkpoints. */
export function getRandomState(): Int32Array {
  const backend = currentBackend();
  return backend.read(randomStorageOf(backend)) as Int32Array;
}

export function setRandomState(state: Int32Array): void {
  if (state.length !== 4) throw new OptionError(`setRandomState: expected 4 integers, got ${state.length}.`);
  const backend = currentBackend();
  backend.write(randomStorageOf(backend), state);
}

/** A copy of the state of random numbers on a backend, which stays there. */
export function randomStateOf(backend: Backend): Tensor {
  const copy = Tensor.empty(backend, [4], "int32");
  backend.call("copy", { x: randomStorageOf(backend), y: copy.storage, n: 4 });
  return copy;
}

/** Runs `fn` with the random numbers that followed `state`, and goes on afterwards as if nothing had been drawn. */
export function withRandomState<T>(state: Tensor, fn: () => T): T {
  const { backend } = state;
  const own = randomStorageOf(backend);
  const now = randomStateOf(backend);
  backend.call("copy", { x: state.storage, y: own, n: 4 });
  try {
    return fn();
  } finally {
    backend.call("copy", { x: now.storage, y: own, n: 4 });
    now.dispose();
  }
}
