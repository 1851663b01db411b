// Element by element. Each operation is compiled into a loop of its own: `op` is a constant there, so the choice is made
// once per call. A rest of 1 to 3 elements goes through the same lanes as the others and gives the same bits.
import { Binary, Unary, UnaryBackward } from "./generated";
import * as math from "./math";
import { ROWS_BYTES, skip, startRows } from "./strided-rows";

// The order of unaryOps, unaryBackwardOps and binaryOps in src/engine/kernels.ts.
const enum U {
  neg, abs, sign, exp, log, sqrt, square, reciprocal, addScalar, mulScalar, powScalar,
  relu, leakyRelu, sigmoid, tanh, gelu, silu, erf, gaussian,
}
const enum D { relu, leakyRelu, sigmoid, tanh, gelu, silu }
const enum B { add, sub, mul, div, maximum, minimum, pow, greater, greaterEqual, equal }

@inline const INVERSE_SQRT_TAU: f32 = 0.3989422804;

// @ts-ignore: decorator
@inline function splat(x: f32): v128 {
  return f32x4.splat(x);
}

// @ts-ignore: decorator
@inline function unaryValue(op: U, x: v128, alpha: f64): v128 {
  if (op == U.neg) return f32x4.neg(x);
  if (op == U.abs) return f32x4.abs(x);
  // 0, -0 and NaN are their own sign.
  if (op == U.sign) return v128.bitselect(math.withSign(splat(1), x), x, f32x4.gt(f32x4.abs(x), splat(0)));
  if (op == U.exp) return math.exp(x);
  if (op == U.log) return math.log(x);
  if (op == U.sqrt) return f32x4.sqrt(x);
  if (op == U.square) return f32x4.mul(x, x);
  if (op == U.reciprocal) return f32x4.div(splat(1), x);
  if (op == U.addScalar) return f32x4.add(x, splat(<f32>alpha));
  if (op == U.mulScalar) return f32x4.mul(x, splat(<f32>alpha));
  if (op == U.powScalar) return math.powScalar(x, alpha);
  // Not (x <= 0), so that NaN stays; -0 becomes 0.
  if (op == U.relu) return v128.andnot(x, f32x4.le(x, splat(0)));
  if (op == U.leakyRelu) return v128.bitselect(x, f32x4.mul(x, splat(<f32>alpha)), f32x4.gt(x, splat(0)));
  if (op == U.sigmoid) return math.sigmoid(x);
  if (op == U.tanh) return math.tanh(x);
  if (op == U.gelu) return f32x4.mul(x, math.normalCdf(x, math.expHalfSquare(x)));
  if (op == U.silu) return f32x4.mul(x, math.sigmoid(x));
  if (op == U.erf) return math.erf(x);
  return f32x4.mul(math.expHalfSquare(x), splat(INVERSE_SQRT_TAU));
}

// @ts-ignore: decorator
@inline function unaryLoop(op: U, a: Unary, from: i32, to: i32): void {
  const alpha = a.alpha, end = a.y + (<usize>to << 2);
  let x = a.x + (<usize>from << 2), y = a.y + (<usize>from << 2);
  for (; y + 16 <= end; x += 16, y += 16) v128.store(y, unaryValue(op, v128.load(x), alpha));
  const rest = <i32>(end - y) >> 2;
  if (rest) math.storePart(y, unaryValue(op, math.loadPart(x, rest), alpha), rest);
}

/** y[i] = op(x[i]); y may be x. */
export function unary(a: Unary, from: i32, to: i32): void {
  switch (a.op) {
    case U.neg: return unaryLoop(U.neg, a, from, to);
    case U.abs: return unaryLoop(U.abs, a, from, to);
    case U.sign: return unaryLoop(U.sign, a, from, to);
    case U.exp: return unaryLoop(U.exp, a, from, to);
    case U.log: return unaryLoop(U.log, a, from, to);
    case U.sqrt: return unaryLoop(U.sqrt, a, from, to);
    case U.square: return unaryLoop(U.square, a, from, to);
    case U.reciprocal: return unaryLoop(U.reciprocal, a, from, to);
    case U.addScalar: return unaryLoop(U.addScalar, a, from, to);
    case U.mulScalar: return unaryLoop(U.mulScalar, a, from, to);
    // The same bits: the square of a float32 is exact in float64.
    case U.powScalar: return a.alpha == 2 ? unaryLoop(U.square, a, from, to) : unaryLoop(U.powScalar, a, from, to);
    case U.relu: return unaryLoop(U.relu, a, from, to);
    case U.leakyRelu: return unaryLoop(U.leakyRelu, a, from, to);
    case U.sigmoid: return unaryLoop(U.sigmoid, a, from, to);
    case U.tanh: return unaryLoop(U.tanh, a, from, to);
    case U.gelu: return unaryLoop(U.gelu, a, from, to);
    case U.silu: return unaryLoop(U.silu, a, from, to);
    case U.erf: return unaryLoop(U.erf, a, from, to);
    case U.gaussian: return unaryLoop(U.gaussian, a, from, to);
    default: unreachable();
  }
}

/** The derivative, times dy. */
// @ts-ignore: decorator
@inline function backwardValue(op: D, u: v128, dy: v128, alpha: f64): v128 {
  if (op == D.relu) return v128.and(dy, f32x4.gt(u, splat(0)));
  if (op == D.leakyRelu) return v128.bitselect(dy, f32x4.mul(dy, splat(<f32>alpha)), f32x4.gt(u, splat(0)));
  const one = splat(1);
  if (op == D.sigmoid) return f32x4.mul(dy, f32x4.mul(u, f32x4.sub(one, u)));
  if (op == D.tanh) return f32x4.mul(dy, f32x4.mul(f32x4.sub(one, u), f32x4.add(one, u)));
  if (op == D.gelu) {
    const e = math.expHalfSquare(u);
    const slope = f32x4.mul(f32x4.mul(u, splat(INVERSE_SQRT_TAU)), e);
    return f32x4.mul(dy, f32x4.add(math.normalCdf(u, e), slope));
  }
  const s = math.sigmoid(u);
  return f32x4.mul(dy, f32x4.mul(s, f32x4.add(one, f32x4.mul(u, f32x4.sub(one, s)))));
}

// @ts-ignore: decorator
@inline function backwardLoop(op: D, a: UnaryBackward, from: i32, to: i32): void {
  const alpha = a.alpha, end = a.dx + (<usize>to << 2), start = <usize>from << 2;
  let u = a.u + start, dy = a.dy + start, dx = a.dx + start;
  for (; dx + 16 <= end; u += 16, dy += 16, dx += 16) v128.store(dx, backwardValue(op, v128.load(u), v128.load(dy), alpha));
  const rest = <i32>(end - dx) >> 2;
  if (rest) math.storePart(dx, backwardValue(op, math.loadPart(u, rest), math.loadPart(dy, rest), alpha), rest);
}

/** dx[i] = op'(u[i]) · dy[i]; dx may be dy. relu has gradient 0 at 0. */
export function unaryBackward(a: UnaryBackward, from: i32, to: i32): void {
  switch (a.op) {
    case D.relu: return backwardLoop(D.relu, a, from, to);
    case D.leakyRelu: return backwardLoop(D.leakyRelu, a, from, to);
    case D.sigmoid: return backwardLoop(D.sigmoid, a, from, to);
    case D.tanh: return backwardLoop(D.tanh, a, from, to);
    case D.gelu: return backwardLoop(D.gelu, a, from, to);
    case D.silu: return backwardLoop(D.silu, a, from, to);
    default: unreachable();
  }
}

// @ts-ignore: decorator
@inline function binaryValue(op: B, a: v128, b: v128): v128 {
  if (op == B.add) return f32x4.add(a, b);
  if (op == B.sub) return f32x4.sub(a, b);
  if (op == B.mul) return f32x4.mul(a, b);
  if (op == B.div) return f32x4.div(a, b);
  if (op == B.maximum) return f32x4.max(a, b);
  if (op == B.minimum) return f32x4.min(a, b);
  if (op == B.pow) return math.pow(a, b);
  if (op == B.greater) return v128.and(f32x4.gt(a, b), splat(1));
  if (op == B.greaterEqual) return v128.and(f32x4.ge(a, b), splat(1));
  return v128.and(f32x4.eq(a, b), splat(1));
}

// @ts-ignore: decorator
@inline function binaryLoop(op: B, a: usize, b: usize, y: usize, count: i32, aStep: usize, bStep: usize): void {
  const end = y + (<usize>count << 2);
  for (; y + 16 <= end; y += 16, a += aStep, b += bStep) v128.store(y, binaryValue(op, v128.load(a), v128.load(b)));
  const rest = count & 3;
  if (rest) math.storePart(y, binaryValue(op, math.loadPart(a, rest), math.loadPart(b, rest)), rest);
}

/** One row; an operand with step 0 is four copies of one element. Apart from `binary`, so that its loops stay in registers. */
function binaryRow(op: i32, a: usize, b: usize, y: usize, count: i32, aStep: usize, bStep: usize): void {
  switch (op) {
    case B.add: return binaryLoop(B.add, a, b, y, count, aStep, bStep);
    case B.sub: return binaryLoop(B.sub, a, b, y, count, aStep, bStep);
    case B.mul: return binaryLoop(B.mul, a, b, y, count, aStep, bStep);
    case B.div: return binaryLoop(B.div, a, b, y, count, aStep, bStep);
    case B.maximum: return binaryLoop(B.maximum, a, b, y, count, aStep, bStep);
    case B.minimum: return binaryLoop(B.minimum, a, b, y, count, aStep, bStep);
    case B.pow: return binaryLoop(B.pow, a, b, y, count, aStep, bStep);
    case B.greater: return binaryLoop(B.greater, a, b, y, count, aStep, bStep);
    case B.greaterEqual: return binaryLoop(B.greaterEqual, a, b, y, count, aStep, bStep);
    case B.equal: return binaryLoop(B.equal, a, b, y, count, aStep, bStep);
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
