// Random numbers: Philox4x32-10 (Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3"). Element i is word
// i mod 4 of block i / 4; key = seed, counter = (block, 0, draws low, draws high). Nothing depends on the range.
import { AdvanceRandom, DropoutMask, RandomNormal, RandomUniform } from "./generated";
import { log } from "./power";
import { workspace } from "./runtime";

/** Elements made at a time: four blocks side by side. */
@inline const GROUP: i32 = 16;

/** The lower halves of four 64-bit products. */
@inline function low(even: v128, odd: v128): v128 {
  return v128.shuffle<i32>(even, odd, 0, 2, 4, 6);
}

/** The upper halves. */
@inline function high(even: v128, odd: v128): v128 {
  return v128.shuffle<i32>(even, odd, 1, 3, 5, 7);
}

/** Writes the 16 words of blocks `block` to `block + 3`, in order. */
function words(state: usize, block: i32, out: usize): void {
  const m0 = i32x4.splat(0xd2511f53), m1 = i32x4.splat(0xcd9e8d57);
  let k0 = load<i32>(state), k1 = load<i32>(state, 4);
  let c0 = i32x4.add(i32x4.splat(block), i32x4(0, 1, 2, 3)), c1 = i32x4.splat(0);
  let c2 = v128.load32_splat(state, 8), c3 = v128.load32_splat(state, 12);
  for (let round = 0; round < 10; round++) {
    const p0 = i64x2.extmul_low_i32x4_u(c0, m0), q0 = i64x2.extmul_high_i32x4_u(c0, m0);
    const p1 = i64x2.extmul_low_i32x4_u(c2, m1), q1 = i64x2.extmul_high_i32x4_u(c2, m1);
    c0 = v128.xor(v128.xor(high(p1, q1), c1), i32x4.splat(k0));
    c2 = v128.xor(v128.xor(high(p0, q0), c3), i32x4.splat(k1));
    c1 = low(p1, q1);
    c3 = low(p0, q0);
    k0 += 0x9e3779b9;
    k1 += 0xbb67ae85;
  }
  // From word by word to block by block.
  const a = v128.shuffle<i32>(c0, c1, 0, 4, 1, 5), b = v128.shuffle<i32>(c2, c3, 0, 4, 1, 5);
  const c = v128.shuffle<i32>(c0, c1, 2, 6, 3, 7), d = v128.shuffle<i32>(c2, c3, 2, 6, 3, 7);
  v128.store(out, v128.shuffle<i64>(a, b, 0, 2));
  v128.store(out, v128.shuffle<i64>(a, b, 1, 3), 16);
  v128.store(out, v128.shuffle<i64>(c, d, 0, 2), 32);
  v128.store(out, v128.shuffle<i64>(c, d, 1, 3), 48);
}

/** Uniform on [0, 1), a multiple of 2^-24, from the upper bits of a word. */
@inline function unit(word: v128): v128 {
  return f32x4.mul(f32x4.convert_i32x4_s(i32x4.shr_u(word, 8)), f32x4.splat(<f32>(1.0 / 16777216)));
}

/** low + u (high - low), computed in float64 and then rounded. */
@inline function spread(u: v128, start: v128, width: v128): v128 {
  const upper = v128.shuffle<i32>(u, u, 2, 3, 2, 3);
  const first = f64x2.add(start, f64x2.mul(f64x2.promote_low_f32x4(u), width));
  const second = f64x2.add(start, f64x2.mul(f64x2.promote_low_f32x4(upper), width));
  return v128.shuffle<i64>(f32x4.demote_f64x2_zero(first), f32x4.demote_f64x2_zero(second), 0, 2);
}

/** y[i] uniform on [low, high); the rounding to float32 may reach high unless low = 0 and high is a power of two. */
export function randomUniform(a: RandomUniform, from: i32, to: i32): void {
  const start = f64x2.splat(a.low), width = f64x2.splat(a.high - a.low);
  for (let i = from; i < to; i += GROUP) {
    const out = begin(a.state, a.y, i, to);
    for (let at: usize = 0; at < 64; at += 16) v128.store(out + at, spread(unit(v128.load(out + at)), start, width));
    finish(out, a.y, i, to);
  }
}

/** y[i] normal with the given mean and standard deviation, by inversion. */
export function randomNormal(a: RandomNormal, from: i32, to: i32): void {
  const mean = a.mean, std = a.std;
  for (let i = from; i < to; i += GROUP) {
    const out = begin(a.state, a.y, i, to);
    for (let at: usize = 0; at < 64; at += 4) {
      const p = (<f64>load<u32>(out + at) + 0.5) * (1.0 / 4294967296);
      store<f32>(out + at, <f32>(mean + std * normalQuantile(p)));
    }
    finish(out, a.y, i, to);
  }
}

/** y[i] = 0 with probability p, else 1 / (1 - p). */
export function dropoutMask(a: DropoutMask, from: i32, to: i32): void {
  // u >= p, where u is a multiple of 2^-24.
  const least = i32x4.splat(<i32>Math.ceil(a.p * 16777216)), kept = f32x4.splat(<f32>(1 / (1 - a.p)));
  for (let i = from; i < to; i += GROUP) {
    const out = begin(a.state, a.y, i, to);
    for (let at: usize = 0; at < 64; at += 16) {
      v128.store(out + at, v128.and(kept, i32x4.ge_s(i32x4.shr_u(v128.load(out + at), 8), least)));
    }
    finish(out, a.y, i, to);
  }
}

/** Counts one draw. */
export function advanceRandom(a: AdvanceRandom, from: i32, to: i32): void {
  store<i64>(a.state, load<i64>(a.state, 8) + 1, 8);
}

/** Words for elements i to i + 15: in their place, or in the workspace where fewer are wanted. */
@inline function begin(state: usize, y: usize, i: i32, to: i32): usize {
  const out = to - i >= GROUP ? y + (<usize>i << 2) : workspace;
  words(state, i >> 2, out);
  return out;
}

@inline function finish(out: usize, y: usize, i: i32, to: i32): void {
  if (to - i < GROUP) memory.copy(y + (<usize>i << 2), out, <usize>(to - i) << 2);
}

/** z with Φ(z) = p, for p from 2^-33 to 1 - 2^-33. Wichura 1988, algorithm AS 241, PPND16; its third region lies outside. */
function normalQuantile(p: f64): f64 {
  const q = p - 0.5;
  if (abs(q) <= 0.425) {
    const r = 0.180625 - q * q;
    return q *
      (((((((2.5090809287301226727e3 * r + 3.3430575583588128105e4) * r + 6.7265770927008700853e4) * r +
        4.5921953931549871457e4) * r + 1.3731693765509461125e4) * r + 1.9715909503065514427e3) * r +
        1.3314166789178437745e2) * r + 3.387132872796366608) /
      (((((((5.226495278852854561e3 * r + 2.8729085735721942674e4) * r + 3.930789580009271061e4) * r +
        2.1213794301586595867e4) * r + 5.3941960214247511077e3) * r + 6.871870074920579083e2) * r +
        4.2313330701600911252e1) * r + 1);
  }
  const r = sqrt(-log(q < 0 ? p : 1 - p)) - 1.6;
  const z =
    (((((((7.7454501427834140764e-4 * r + 2.27238449892691845833e-2) * r + 2.4178072517745061177e-1) * r +
      1.27045825245236838258) * r + 3.64784832476320460504) * r + 5.7694972214606914055) * r +
      4.6303378461565452959) * r + 1.42343711074968357734) /
    (((((((1.05075007164441684324e-9 * r + 5.475938084995344946e-4) * r + 1.51986665636164571966e-2) * r +
      1.4810397642748007459e-1) * r + 6.8976733498510000455e-1) * r + 1.6763848301838038494) * r +
      2.05319162663775882187) * r + 1);
  return q < 0 ? -z : z;
}
