// Logarithm and power in float64, without the standard library's tables: 12 KB that do not pack. The logarithm is right to
// some 2^-50; a power of up to 2^±150 then differs from the exact one by hardly more than its rounding to float32.

// 1/19, 1/17, 1/15, … 1; then 1/12!, 1/11!, … 1.
const ARTANH = memory.data<f64>([
  0.05263157894736842, 0.058823529411764705, 0.06666666666666667, 0.07692307692307693, 0.09090909090909091, 0.1111111111111111,
  0.14285714285714285, 0.2, 0.3333333333333333, 1,
]);
const EXP = memory.data<f64>([
  2.08767569878681e-9, 2.505210838544172e-8, 2.755731922398589e-7, 2.7557319223985893e-6, 2.48015873015873e-5,
  0.0001984126984126984, 0.001388888888888889, 0.008333333333333333, 0.041666666666666664, 0.16666666666666666, 0.5, 1, 1,
]);

/** The polynomial of a table of `count` coefficients, highest power first. */
@inline function polynomial(table: usize, count: usize, x: f64): f64 {
  let sum = load<f64>(table);
  for (let p = table + 8; p < table + (count << 3); p += 8) sum = sum * x + load<f64>(p);
  return sum;
}

/** ln x of a positive, finite, normal x: x = 2^k · m with m around 1, and ln m = 2 artanh(s), s = (m − 1) / (m + 1). */
export function log(x: f64): f64 {
  const bits = reinterpret<u64>(x);
  let k = <i32>(bits >> 52) - 1023;
  let m = reinterpret<f64>((bits & 0xfffffffffffff) | 0x3ff0000000000000);
  if (m > 1.4142135623730951) {
    m *= 0.5;
    k++;
  }
  const s = (m - 1) / (m + 1), z = s * s;
  return <f64>k * 0.6931471805599453 + 2 * s * polynomial(ARTANH, 10, z);
}

/** 2^t for t from -1000 to 1000: the series of e^(f ln 2) for what is left of t beside an integer. */
function exp2(t: f64): f64 {
  const n = nearest(t), f = (t - n) * 0.6931471805599453;
  return polynomial(EXP, 13, f) * reinterpret<f64>((<u64>(1023 + <i64>n)) << 52);
}

/** x^y by IEEE 754: x^0 = 1^y = (-1)^±Infinity = 1, NaN or not. */
export function power(x: f32, y: f64): f32 {
  if (x == 1 || y == 0 || (x == -1 && abs(y) == Infinity)) return 1;
  if (x != x || y != y) return NaN;
  const size = <f64>abs(x), isWhole = nearest(y) == y;
  if (x < 0 && size < Infinity && !isWhole) return NaN;
  const ln = size == 0 ? -Infinity : size == Infinity ? Infinity : log(size);
  const result = <f32>exp2(min(max(ln * y * 1.4426950408889634, -300.0), 300.0));
  // From 2^53 on there are no odd numbers.
  const isOdd = isWhole && abs(y) < 9007199254740992.0 && ((<i64>y) & 1) != 0;
  return isOdd ? copysign(result, x) : result;
}
