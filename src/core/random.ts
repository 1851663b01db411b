import { OptionError } from "./errors.js";

/**
 * Random numbers that are a function of (seed, position) and of nothing else.
 *
 * Sources: Salmon, Moraes, Dror, Shaw 2011, "Parallel random numbers: as easy as 1, 2, 3" (Philox4x32-10);
 * Wichura 1988, "The percentage points of the normal distribution", algorithm AS 241, routine PPND16.
 */

const ROUNDS = 10;
const MULTIPLIER_0 = 0xd2511f53;
const MULTIPLIER_1 = 0xcd9e8d57;
const WEYL_0 = 0x9e3779b9;
const WEYL_1 = 0xbb67ae85;

/** Upper 32 bits of the 64-bit product of two unsigned 32-bit integers. */
function multiplyHigh(a: number, b: number): number {
  const aLow = a & 0xffff;
  const aHigh = a >>> 16;
  const bLow = b & 0xffff;
  const bHigh = b >>> 16;
  const middle = aHigh * bLow + ((aLow * bLow) >>> 16);
  const cross = aLow * bHigh + (middle & 0xffff);
  return (aHigh * bHigh + (middle >>> 16) + (cross >>> 16)) >>> 0;
}

/**
 * Philox4x32-10: four unsigned 32-bit words, written to `out`.
 *
 * @param counter four 32-bit words, the position; signed or unsigned
 * @param key two 32-bit words, the seed; signed or unsigned
 */
export function philox(counter: ArrayLike<number>, key: ArrayLike<number>, out: Uint32Array = new Uint32Array(4)): Uint32Array {
  let c0 = counter[0]! >>> 0;
  let c1 = counter[1]! >>> 0;
  let c2 = counter[2]! >>> 0;
  let c3 = counter[3]! >>> 0;
  let k0 = key[0]! >>> 0;
  let k1 = key[1]! >>> 0;
  for (let round = 0; round < ROUNDS; round++) {
    const high0 = multiplyHigh(MULTIPLIER_0, c0);
    const low0 = Math.imul(MULTIPLIER_0, c0);
    const high1 = multiplyHigh(MULTIPLIER_1, c2);
    const low1 = Math.imul(MULTIPLIER_1, c2);
    c0 = (high1 ^ c1 ^ k0) >>> 0;
    c1 = low1 >>> 0;
    c2 = (high0 ^ c3 ^ k1) >>> 0;
    c3 = low0 >>> 0;
    k0 = (k0 + WEYL_0) >>> 0;
    k1 = (k1 + WEYL_1) >>> 0;
  }
  out[0] = c0;
  out[1] = c1;
  out[2] = c2;
  out[3] = c3;
  return out;
}

/** A seed as the two words of a Philox key, low word first. Seeds are integers from 0 to 2^53 - 1. */
export function seedWords(seed: number): [low: number, high: number] {
  if (!Number.isSafeInteger(seed) || seed < 0) {
    throw new OptionError(`seed: expected an integer from 0 to 2^53 - 1, got ${seed}.`);
  }
  return [seed >>> 0, Math.floor(seed / 2 ** 32)];
}

/**
 * Natural logarithm of p, 0 < p < 1, by basic arithmetic: `Math.log` may differ in its last bit between engines.
 * p = m · 2^e with m near 1, and log m = 2 artanh((m - 1) / (m + 1)).
 */
function logOfFraction(p: number): number {
  let m = p;
  let e = 0;
  while (m < Math.SQRT1_2) {
    m *= 2;
    e--;
  }
  const s = (m - 1) / (m + 1);
  let series = 0;
  for (let k = 25; k >= 1; k -= 2) series = series * s * s + 1 / k;
  return e * Math.LN2 + 2 * s * series;
}

/** c[0] + c[1] x + c[2] x² + … */
function polynomial(c: readonly number[], x: number): number {
  let y = 0;
  for (let i = c.length - 1; i >= 0; i--) y = y * x + c[i]!;
  return y;
}

const A = [
  3.3871328727963665, 133.14166789178438, 1971.5909503065513, 13731.69376550946, 45921.95393154987, 67265.7709270087,
  33430.57558358813, 2509.0809287301227,
];
const B = [
  1, 42.31333070160091, 687.1870074920579, 5394.196021424751, 21213.794301586597, 39307.89580009271, 28729.085735721943,
  5226.495278852854,
];
const C = [
  1.4234371107496835, 4.630337846156546, 5.769497221460691, 3.6478483247632045, 1.2704582524523684, 0.2417807251774506,
  0.022723844989269184, 0.0007745450142783414,
];
const D = [
  1, 2.053191626637759, 1.6763848301838038, 0.6897673349851, 0.14810397642748008, 0.015198666563616457, 0.0005475938084995345,
  1.0507500716444169e-9,
];
const E = [
  6.657904643501103, 5.463784911164114, 1.7848265399172913, 0.29656057182850487, 0.026532189526576124, 0.0012426609473880784,
  2.7115555687434876e-5, 2.0103343992922881e-7,
];
const F = [
  1, 0.599832206555888, 0.1369298809227358, 0.014875361290850615, 0.0007868691311456133, 1.8463183175100548e-5,
  1.421511758316446e-7, 2.0442631033899397e-15,
];

/** The standard normal quantile: z with P(Z ≤ z) = p, within 1e-15·max(1, |z|); 0 < p < 1. */
export function inverseNormal(p: number): number {
  const q = p - 0.5;
  if (Math.abs(q) <= 0.425) {
    const r = 0.180625 - q * q;
    return (q * polynomial(A, r)) / polynomial(B, r);
  }
  const r = Math.sqrt(-logOfFraction(q < 0 ? p : 1 - p));
  const z = r <= 5 ? polynomial(C, r - 1.6) / polynomial(D, r - 1.6) : polynomial(E, r - 5) / polynomial(F, r - 5);
  return q < 0 ? -z : z;
}

/** A uniform number in [0, 1) with 24 bits, from a 32-bit word. */
export function uniformOfWord(word: number): number {
  return (word >>> 8) * 2 ** -24;
}

/** A standard normal number from a 32-bit word. */
export function normalOfWord(word: number): number {
  return inverseNormal((word + 0.5) * 2 ** -32);
}

/**
 * A stream of random numbers on the host, for shuffling and for making data: the same numbers for a seed on every machine.
 * Its counters have 1 in the second word and those of the kernels have 0, so one seed may serve both.
 *
 * @example new Random(7).permutation(5)
 */
export class Random {
  readonly #key: readonly number[];
  readonly #words = new Uint32Array(4);
  #block = 0;
  #used = 4;

  /** @param seed an integer from 0 to 2^53 - 1 */
  constructor(seed: number) {
    this.#key = seedWords(seed);
  }

  #word(): number {
    if (this.#used === 4) {
      philox([this.#block, 1, Math.floor(this.#block / 2 ** 32), 0], this.#key, this.#words);
      this.#block++;
      this.#used = 0;
    }
    return this.#words[this.#used++]!;
  }

  /** A number in [0, 1) with 53 bits. */
  uniform(): number {
    const high = this.#word() >>> 5;
    const low = this.#word() >>> 6;
    return (high * 2 ** 26 + low) * 2 ** -53;
  }

  /** An integer from 0 to n - 1, each equally likely; 1 ≤ n ≤ 2^32. */
  integer(n: number): number {
    if (!Number.isInteger(n) || n < 1 || n > 2 ** 32) {
      throw new OptionError(`Random.integer: expected n from 1 to 2^32, got ${n}.`);
    }
    // Words at or above the last multiple of n would favour small results.
    const limit = 2 ** 32 - (2 ** 32 % n);
    let word = this.#word();
    while (word >= limit) word = this.#word();
    return word % n;
  }

  /** A standard normal number. */
  normal(): number {
    return normalOfWord(this.#word());
  }

  /** The numbers 0 to n - 1 in random order, every order equally likely (Fisher-Yates). */
  permutation(n: number): Int32Array {
    if (!Number.isInteger(n) || n < 0 || n > 2 ** 31) {
      throw new OptionError(`Random.permutation: expected a length from 0 to 2^31, got ${n}.`);
    }
    const order = new Int32Array(n);
    for (let i = 0; i < n; i++) order[i] = i;
    for (let i = n - 1; i > 0; i--) {
      const j = this.integer(i + 1);
      const held = order[i]!;
      order[i] = order[j]!;
      order[j] = held;
    }
    return order;
  }
}
