// Element by element. Every operation is a class that is never made: the loops take it as a type and call its method, so
// each operation has a loop of its own and is chosen once per call. (An operation passed as a constant number does not do:
// the optimizer may join the loops before it sees that the number is constant.) A rest of 1 to 3 elements goes through the
// same lanes as the others and gives the same bits.
import { Binary, Unary, UnaryBackward } from "./generated";
import * as math from "./math";
import { ROWS_BYTES, skip, startRows } from "./strided-rows";

// The order of unaryOps, unaryBackwardOps and binaryOps in src/engine/kernels.ts.
const enum U {
  neg, abs, sign, exp, log, sqrt, square, reciprocal, addScalar, mulScalar, powScalar,
  relu, leakyRelu, sigmoid, tanh, gelu, silu, erf, gaussian,
}
const enum D { relu, leakyRelu, sigmoid, tanh, gelu, silu }
const enum B { add, sub, mul, div, maximum, minimum, pow, greater, greaterEqual, equal, keepWhere }

@inline const INVERSE_SQRT_TAU: f32 = 0.3989422804;

@inline function splat(x: f32): v128 {
  return f32x4.splat(x);
}

@final class Neg { @inline of(x: v128, alpha: f64): v128 { return f32x4.neg(x); } }
@final class Abs { @inline of(x: v128, alpha: f64): v128 { return f32x4.abs(x); } }
// 0, -0 and NaN are their own sign.
@final class Sign {
  @inline of(x: v128, alpha: f64): v128 {
    return v128.bitselect(math.withSign(splat(1), x), x, f32x4.gt(f32x4.abs(x), splat(0)));
  }
}
@final class Exp { @inline of(x: v128, alpha: f64): v128 { return math.exp(x); } }
@final class Log { @inline of(x: v128, alpha: f64): v128 { return math.log(x); } }
@final class Sqrt { @inline of(x: v128, alpha: f64): v128 { return f32x4.sqrt(x); } }
@final class Square { @inline of(x: v128, alpha: f64): v128 { return f32x4.mul(x, x); } }
@final class Reciprocal { @inline of(x: v128, alpha: f64): v128 { return f32x4.div(splat(1), x); } }
@final class AddScalar { @inline of(x: v128, alpha: f64): v128 { return f32x4.add(x, splat(<f32>alpha)); } }
@final class MulScalar { @inline of(x: v128, alpha: f64): v128 { return f32x4.mul(x, splat(<f32>alpha)); } }
@final class PowScalar { @inline of(x: v128, alpha: f64): v128 { return math.powScalar(x, alpha); } }
// Not (x <= 0), so that NaN stays; -0 becomes 0.
@final class Relu { @inline of(x: v128, alpha: f64): v128 { return v128.andnot(x, f32x4.le(x, splat(0))); } }
@final class LeakyRelu {
  @inline of(x: v128, alpha: f64): v128 {
    return v128.bitselect(x, f32x4.mul(x, splat(<f32>alpha)), f32x4.gt(x, splat(0)));
  }
}
@final class Sigmoid { @inline of(x: v128, alpha: f64): v128 { return math.sigmoid(x); } }
@final class Tanh { @inline of(x: v128, alpha: f64): v128 { return math.tanh(x); } }
@final class Gelu { @inline of(x: v128, alpha: f64): v128 { return f32x4.mul(x, math.normalCdf(x, math.expHalfSquare(x))); } }
@final class Silu { @inline of(x: v128, alpha: f64): v128 { return f32x4.mul(x, math.sigmoid(x)); } }
@final class Erf { @inline of(x: v128, alpha: f64): v128 { return math.erf(x); } }
@final class Gaussian {
  @inline of(x: v128, alpha: f64): v128 {
    return f32x4.mul(math.expHalfSquare(x), splat(INVERSE_SQRT_TAU));
  }
}

@inline function unaryLoop<F>(a: Unary, from: i32, to: i32): void {
  const f = changetype<F>(0), alpha = a.alpha, end = a.y + (<usize>to << 2);
  let x = a.x + (<usize>from << 2), y = a.y + (<usize>from << 2);
  for (; y + 16 <= end; x += 16, y += 16) v128.store(y, f.of(v128.load(x), alpha));
  const rest = <i32>(end - y) >> 2;
  if (rest) math.storePart(y, f.of(math.loadPart(x, rest), alpha), rest);
}

/** y[i] = op(x[i]); y may be x. */
export function unary(a: Unary, from: i32, to: i32): void {
  switch (a.op) {
    case U.neg: return unaryLoop<Neg>(a, from, to);
    case U.abs: return unaryLoop<Abs>(a, from, to);
    case U.sign: return unaryLoop<Sign>(a, from, to);
    case U.exp: return unaryLoop<Exp>(a, from, to);
    case U.log: return unaryLoop<Log>(a, from, to);
    case U.sqrt: return unaryLoop<Sqrt>(a, from, to);
    case U.square: return unaryLoop<Square>(a, from, to);
    case U.reciprocal: return unaryLoop<Reciprocal>(a, from, to);
    case U.addScalar: return unaryLoop<AddScalar>(a, from, to);
    case U.mulScalar: return unaryLoop<MulScalar>(a, from, to);
    // The same bits: the square of a float32 is exact in float64.
    case U.powScalar: return a.alpha == 2 ? unaryLoop<Square>(a, from, to) : unaryLoop<PowScalar>(a, from, to);
    case U.relu: return unaryLoop<Relu>(a, from, to);
    case U.leakyRelu: return unaryLoop<LeakyRelu>(a, from, to);
    case U.sigmoid: return unaryLoop<Sigmoid>(a, from, to);
    case U.tanh: return unaryLoop<Tanh>(a, from, to);
    case U.gelu: return unaryLoop<Gelu>(a, from, to);
    case U.silu: return unaryLoop<Silu>(a, from, to);
    case U.erf: return unaryLoop<Erf>(a, from, to);
    case U.gaussian: return unaryLoop<Gaussian>(a, from, to);
    default: unreachable();
  }
}

// Derivatives times dy.
@final class ReluSlope { @inline of(u: v128, dy: v128, alpha: f64): v128 { return v128.and(dy, f32x4.gt(u, splat(0))); } }
@final class LeakyReluSlope {
  @inline of(u: v128, dy: v128, alpha: f64): v128 {
    return v128.bitselect(dy, f32x4.mul(dy, splat(<f32>alpha)), f32x4.gt(u, splat(0)));
  }
}
@final class SigmoidSlope {
  @inline of(u: v128, dy: v128, alpha: f64): v128 {
    return f32x4.mul(dy, f32x4.mul(u, f32x4.sub(splat(1), u)));
  }
}
@final class TanhSlope {
  @inline of(u: v128, dy: v128, alpha: f64): v128 {
    return f32x4.mul(dy, f32x4.mul(f32x4.sub(splat(1), u), f32x4.add(splat(1), u)));
  }
}
@final class GeluSlope {
  @inline of(u: v128, dy: v128, alpha: f64): v128 {
    const e = math.expHalfSquare(u);
    const slope = f32x4.mul(f32x4.mul(u, splat(INVERSE_SQRT_TAU)), e);
    return f32x4.mul(dy, f32x4.add(math.normalCdf(u, e), slope));
  }
}
@final class SiluSlope {
  @inline of(u: v128, dy: v128, alpha: f64): v128 {
    const s = math.sigmoid(u), one = splat(1);
    return f32x4.mul(dy, f32x4.mul(s, f32x4.add(one, f32x4.mul(u, f32x4.sub(one, s)))));
  }
}

@inline function backwardLoop<F>(a: UnaryBackward, from: i32, to: i32): void {
  const f = changetype<F>(0), alpha = a.alpha, end = a.dx + (<usize>to << 2), start = <usize>from << 2;
  let u = a.u + start, dy = a.dy + start, dx = a.dx + start;
  for (; dx + 16 <= end; u += 16, dy += 16, dx += 16) v128.store(dx, f.of(v128.load(u), v128.load(dy), alpha));
  const rest = <i32>(end - dx) >> 2;
  if (rest) math.storePart(dx, f.of(math.loadPart(u, rest), math.loadPart(dy, rest), alpha), rest);
}

/** dx[i] = op'(u[i]) · dy[i]; dx may be dy. relu has gradient 0 at 0. */
export function unaryBackward(a: UnaryBackward, from: i32, to: i32): void {
  switch (a.op) {
    case D.relu: return backwardLoop<ReluSlope>(a, from, to);
    case D.leakyRelu: return backwardLoop<LeakyReluSlope>(a, from, to);
    case D.sigmoid: return backwardLoop<SigmoidSlope>(a, from, to);
    case D.tanh: return backwardLoop<TanhSlope>(a, from, to);
    case D.gelu: return backwardLoop<GeluSlope>(a, from, to);
    case D.silu: return backwardLoop<SiluSlope>(a, from, to);
    default: unreachable();
  }
}

@final class Add { @inline of(a: v128, b: v128): v128 { return f32x4.add(a, b); } }
@final class Sub { @inline of(a: v128, b: v128): v128 { return f32x4.sub(a, b); } }
@final class Mul { @inline of(a: v128, b: v128): v128 { return f32x4.mul(a, b); } }
@final class Div { @inline of(a: v128, b: v128): v128 { return f32x4.div(a, b); } }
@final class Maximum { @inline of(a: v128, b: v128): v128 { return f32x4.max(a, b); } }
@final class Minimum { @inline of(a: v128, b: v128): v128 { return f32x4.min(a, b); } }
@final class Pow { @inline of(a: v128, b: v128): v128 { return math.pow(a, b); } }
@final class Greater { @inline of(a: v128, b: v128): v128 { return v128.and(f32x4.gt(a, b), splat(1)); } }
@final class GreaterEqual { @inline of(a: v128, b: v128): v128 { return v128.and(f32x4.ge(a, b), splat(1)); } }
@final class Equal { @inline of(a: v128, b: v128): v128 { return v128.and(f32x4.eq(a, b), splat(1)); } }
@final class KeepWhere { @inline of(a: v128, b: v128): v128 { return v128.and(f32x4.ne(b, splat(0)), a); } }

@inline function binaryLoop<F>(a: usize, b: usize, y: usize, count: i32, aStep: usize, bStep: usize): void {
  const f = changetype<F>(0), end = y + (<usize>count << 2);
  for (; y + 16 <= end; y += 16, a += aStep, b += bStep) v128.store(y, f.of(v128.load(a), v128.load(b)));
  const rest = count & 3;
  if (rest) math.storePart(y, f.of(math.loadPart(a, rest), math.loadPart(b, rest)), rest);
}

/** One row; an operand with step 0 is four copies of one element. Apart from `binary`, so that its loops stay in registers. */
function binaryRow(op: i32, a: usize, b: usize, y: usize, count: i32, aStep: usize, bStep: usize): void {
  switch (op) {
    case B.add: return binaryLoop<Add>(a, b, y, count, aStep, bStep);
    case B.sub: return binaryLoop<Sub>(a, b, y, count, aStep, bStep);
    case B.mul: return binaryLoop<Mul>(a, b, y, count, aStep, bStep);
    case B.div: return binaryLoop<Div>(a, b, y, count, aStep, bStep);
    case B.maximum: return binaryLoop<Maximum>(a, b, y, count, aStep, bStep);
    case B.minimum: return binaryLoop<Minimum>(a, b, y, count, aStep, bStep);
    case B.pow: return binaryLoop<Pow>(a, b, y, count, aStep, bStep);
    case B.greater: return binaryLoop<Greater>(a, b, y, count, aStep, bStep);
    case B.greaterEqual: return binaryLoop<GreaterEqual>(a, b, y, count, aStep, bStep);
    case B.equal: return binaryLoop<Equal>(a, b, y, count, aStep, bStep);
    case B.keepWhere: return binaryLoop<KeepWhere>(a, b, y, count, aStep, bStep);
    default: unreachable();
  }
}

/** Elements of a general stride that are packed at a time. */
@inline const PACK: i32 = 256;

/** Four copies of one element, or the elements of a general stride, in `room`. */
function pack(x: usize, stride: i32, count: i32, room: usize): usize {
  if (stride == 0) v128.store(room, v128.load32_splat(x));
  else {
    const step = <usize>stride << 2, end = room + (<usize>count << 2);
    for (let at = room; at < end; at += 4, x += step) store<i32>(at, load<i32>(x));
  }
  return room;
}

/** y = op(a, b) over the shape, y contiguous; a stride of 0 repeats an operand. y may be a or b where that one is contiguous. */
export function binary(args: Binary, from: i32, to: i32): void {
  const base = changetype<usize>(args);
  const rows = startRows(
    base + offsetof<Binary>("shape0"), base + offsetof<Binary>("aStrides0"), base + offsetof<Binary>("bStrides0"), from,
  );
  const op = args.op, aStride = rows.pStride, bStride = rows.qStride;
  const aStep: usize = aStride ? 16 : 0, bStep: usize = bStride ? 16 : 0;
  const aRoom = changetype<usize>(rows) + ROWS_BYTES, bRoom = aRoom + (<usize>PACK << 2);
  const most = <u32>aStride > 1 || <u32>bStride > 1 ? PACK : i32.MAX_VALUE;
  for (let i = from; i < to; ) {
    const column = rows.column, count = min(min(rows.length - column, to - i), most), y = args.y + (<usize>i << 2);
    let a = args.a + (<usize>(rows.p + column * aStride) << 2), b = args.b + (<usize>(rows.q + column * bStride) << 2);
    if (aStride == 1 && bStride == 1) binaryRow(op, a, b, y, count, 16, 16);
    else {
      if (aStride != 1) a = pack(a, aStride, count, aRoom);
      if (bStride != 1) b = pack(b, bStride, count, bRoom);
      binaryRow(op, a, b, y, count, aStep, bStep);
    }
    i += count;
    if (i < to) skip(rows, count);
  }
}
