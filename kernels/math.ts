// Functions of four float32 lanes. The same instructions run in both builds and nothing depends on the neighbouring
// lanes, so a value maps to the same bits everywhere. NaN gives NaN. Polynomials without a source were fitted to the
// stated interval (weighted minimax on Chebyshev nodes); errors are relative, before rounding.
import { power } from "./power";

@inline const LOG2_E: f32 = 1.44269504;
// ln 2 in two parts; the first has 9 bits, so that its product with an exponent is exact.
@inline const LN2_HIGH: f32 = 0.693359375;
@inline const LN2_LOW: f32 = -2.12194440e-4;
// Adding this rounds to an integer, which then sits in the low bits of the sum.
@inline const ROUND: f32 = 12582912;

// Coefficients of polynomials, highest power first. Read from memory, because V8 builds a vector constant from three
// instructions every time; this makes the functions a quarter faster.
const EXP = memory.data<f32>([0.0013813144760206342, 0.008369418792426586, 0.04166845604777336, 0.16666515171527863, 0.4999999403953552]);
const LOG = memory.data<f32>([0.24279078841, 0.28498786688, 0.40000972152, 0.66666662693]);
const TANH = memory.data<f32>([
  -0.005717045161873102, 0.02065058797597885, -0.05374349653720856, 0.13331490755081177, -0.3333328366279602,
]);
const ERF = memory.data<f32>([
  -0.000622242281679064, 0.005035872105509043, -0.026793954893946648, 0.11282524466514587, -0.3761255741119385, 0.12837915122509003,
]);
const ERFC = memory.data<f32>([
  -0.00031816455884836614, -0.00046969790128059685, 0.0030824423301965, -0.0012340907705947757, -0.026842379942536354,
  0.11953049153089523, -0.31046557426452637, 0.5902281999588013, -0.8833944797515869, 1.0740069150924683,
]);

@inline function constant(x: f32): v128 {
  return f32x4.splat(x);
}

/** p · x + coefficient k of the table. */
@inline function next(p: v128, x: v128, table: usize, k: usize): v128 {
  return f32x4.add(f32x4.mul(p, x), v128.load32_splat(table + (k << 2)));
}

/** The polynomial of the table's first five coefficients; `four` of the first four. */
@inline function five(table: usize, x: v128): v128 {
  return next(four(table, x), x, table, 4);
}

@inline function four(table: usize, x: v128): v128 {
  return next(next(next(v128.load32_splat(table), x, table, 1), x, table, 2), x, table, 3);
}

/** Reads 1 to 3 floats; the other lanes are 0. */
@inline export function loadPart(p: usize, count: i32): v128 {
  if (count == 1) return v128.load32_zero(p);
  const pair = v128.load64_zero(p);
  return count == 2 ? pair : v128.load32_lane(p, pair, 2, 8);
}

/** Writes the first 1 to 3 lanes. */
@inline export function storePart(p: usize, x: v128, count: i32): void {
  if (count == 1) {
    v128.store32_lane(p, x, 0);
    return;
  }
  v128.store64_lane(p, x, 0);
  if (count == 3) v128.store32_lane(p, x, 2, 8);
}

@inline function powerOfTwo(k: v128): v128 {
  return i32x4.shl(i32x4.add(k, i32x4.splat(127)), 23);
}

/** exp(x + tail) for a tail below the last place of x: 2^k · exp(r), |r| <= ln(2) / 2. */
@inline function expSum(x: v128, tail: v128): v128 {
  // Beyond these limits the result is 0 or Infinity anyway. pmax and pmin keep a NaN that comes first.
  const inside = f32x4.pmin(f32x4.pmax(x, constant(-105)), constant(89));
  const rounded = f32x4.add(f32x4.mul(inside, constant(LOG2_E)), constant(ROUND));
  const k = f32x4.sub(rounded, constant(ROUND));
  const r = f32x4.sub(f32x4.sub(inside, f32x4.mul(k, constant(LN2_HIGH))), f32x4.sub(f32x4.mul(k, constant(LN2_LOW)), tail));
  // exp(r) = 1 + r + r² q(r), within 2^-28.
  const q = five(EXP, r);
  const power = f32x4.add(constant(1), f32x4.add(r, f32x4.mul(f32x4.mul(r, r), q)));
  // In two steps, because 2^k itself may be subnormal or too large.
  const whole = i32x4.sub(rounded, constant(ROUND));
  const half = i32x4.shr_s(whole, 1);
  return f32x4.mul(f32x4.mul(power, powerOfTwo(half)), powerOfTwo(i32x4.sub(whole, half)));
}

/** e^x; subnormal results are right, 0 below them and Infinity above the largest float. */
@inline export function exp(x: v128): v128 {
  return expSum(x, constant(0));
}

/** exp(-x² / 2). The rounding error of x² is carried along, so the tails keep their relative precision. */
@inline export function expHalfSquare(x: v128): v128 {
  const t = f32x4.pmin(f32x4.abs(x), constant(16));
  const square = f32x4.mul(t, t);
  // Dekker: with the upper 12 bits split off, the products below are exact.
  const high = v128.and(t, i32x4.splat(0xfffff000));
  const low = f32x4.sub(t, high);
  const cross = f32x4.mul(f32x4.add(high, high), low);
  const error = f32x4.add(f32x4.add(f32x4.sub(f32x4.mul(high, high), square), cross), f32x4.mul(low, low));
  return expSum(f32x4.mul(square, constant(-0.5)), f32x4.mul(error, constant(-0.5)));
}

/** Natural logarithm: -Infinity at 0, NaN below; subnormals are right. Constants: FreeBSD msun, e_logf.c. */
@inline export function log(x: v128): v128 {
  const tiny = f32x4.lt(x, constant(1.17549435e-38));
  const scaled = v128.bitselect(f32x4.mul(x, constant(8388608)), x, tiny);
  // x = 2^k · m with m from √½ to √2: the offset moves √½ to the start of a binade.
  const offset = i32x4.add(scaled, i32x4.splat(0x3f800000 - 0x3f3504f3));
  const exponent = i32x4.sub(i32x4.shr_s(offset, 23), i32x4.add(i32x4.splat(127), v128.and(tiny, i32x4.splat(23))));
  const k = f32x4.convert_i32x4_s(exponent);
  const m = i32x4.add(v128.and(offset, i32x4.splat(0x007fffff)), i32x4.splat(0x3f3504f3));
  const f = f32x4.sub(m, constant(1));
  const s = f32x4.div(f, f32x4.add(f, constant(2)));
  const z = f32x4.mul(s, s);
  const p = four(LOG, z);
  const halfSquare = f32x4.mul(f32x4.mul(f, constant(0.5)), f);
  const correction = f32x4.mul(s, f32x4.add(halfSquare, f32x4.mul(p, z)));
  const small = f32x4.sub(f32x4.sub(halfSquare, f32x4.add(correction, f32x4.mul(k, constant(LN2_LOW)))), f);
  const result = f32x4.sub(f32x4.mul(k, constant(LN2_HIGH)), small);
  // Infinity and NaN go through; 0 and what is below do not.
  const finite = v128.bitselect(result, x, f32x4.lt(x, constant(Infinity)));
  const atZero = v128.bitselect(constant(-Infinity), finite, f32x4.eq(x, constant(0)));
  return v128.bitselect(constant(NaN), atZero, f32x4.lt(x, constant(0)));
}

/** 1 / (1 + e^-x), with full relative precision in the lower tail. */
@inline export function sigmoid(x: v128): v128 {
  const e = exp(f32x4.neg(f32x4.abs(x)));
  const top = v128.bitselect(e, constant(1), f32x4.lt(x, constant(0)));
  return f32x4.div(top, f32x4.add(constant(1), e));
}

/** x + x³ p(x²) (within 2^-27) up to 0.625, then 1 - 2 / (e^2|x| + 1). */
@inline export function tanh(x: v128): v128 {
  const t = f32x4.abs(x);
  const z = f32x4.mul(x, x);
  const p = five(TANH, z);
  const near = f32x4.add(x, f32x4.mul(f32x4.mul(x, z), p));
  const far = f32x4.sub(constant(1), f32x4.div(constant(2), f32x4.add(exp(f32x4.add(t, t)), constant(1))));
  return v128.bitselect(near, withSign(far, x), f32x4.lt(t, constant(0.625)));
}

/** |size| with the sign of `sign`. */
@inline export function withSign(size: v128, sign: v128): v128 {
  return v128.bitselect(sign, size, i32x4.splat(0x80000000));
}

/** exp(t²) · erfc(t) for t from 0 to 11.4, within 2^-28: p(s) / (t + 3), s = (t - 3) / (t + 3). */
@inline function scaledErfc(t: v128): v128 {
  const v = f32x4.div(constant(1), f32x4.add(t, constant(3)));
  const s = f32x4.mul(f32x4.sub(t, constant(3)), v);
  const p = next(next(next(next(next(five(ERFC, s), s, ERFC, 5), s, ERFC, 6), s, ERFC, 7), s, ERFC, 8), s, ERFC, 9);
  return f32x4.mul(p, v);
}

/** Error function: x + x p(x²) (within 2^-27) up to 0.875, then 1 - erfc. */
@inline export function erf(x: v128): v128 {
  const z = f32x4.mul(x, x);
  const p = next(five(ERF, z), z, ERF, 5);
  const near = f32x4.add(x, f32x4.mul(x, p));
  const t = f32x4.pmin(f32x4.abs(x), constant(11));
  const far = f32x4.sub(constant(1), f32x4.mul(exp(f32x4.neg(f32x4.mul(t, t))), scaledErfc(t)));
  return v128.bitselect(near, withSign(far, x), f32x4.lt(t, constant(0.875)));
}

/** Standard normal distribution function, given e = expHalfSquare(x); the lower tail keeps its relative precision. */
@inline export function normalCdf(x: v128, e: v128): v128 {
  const t = f32x4.mul(f32x4.pmin(f32x4.abs(x), constant(16)), constant(0.70710678));
  const tail = f32x4.mul(f32x4.mul(e, constant(0.5)), scaledErfc(t));
  return v128.bitselect(tail, f32x4.sub(constant(1), tail), f32x4.lt(x, constant(0)));
}

/** x^y lane by lane; see power.ts. */
@inline export function pow(x: v128, y: v128): v128 {
  return f32x4(
    power(f32x4.extract_lane(x, 0), f32x4.extract_lane(y, 0)),
    power(f32x4.extract_lane(x, 1), f32x4.extract_lane(y, 1)),
    power(f32x4.extract_lane(x, 2), f32x4.extract_lane(y, 2)),
    power(f32x4.extract_lane(x, 3), f32x4.extract_lane(y, 3)),
  );
}

/** x^y for one exponent in float64. */
@inline export function powScalar(x: v128, y: f64): v128 {
  return f32x4(
    power(f32x4.extract_lane(x, 0), y),
    power(f32x4.extract_lane(x, 1), y),
    power(f32x4.extract_lane(x, 2), y),
    power(f32x4.extract_lane(x, 3), y),
  );
}
