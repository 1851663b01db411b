// What may follow batch normalization in the same pass. The classes are never made: loops take one as a type, as in
// elementwise.ts. Their arithmetic is that of the kernels unary and unaryBackward, and z = t · k + bias that of the forward
// pass, so that the result has the bits of two separate kernels.

/** Nothing follows. */
@final export class Plain {
  @inline output(z: v128): v128 { return z; }
  /** What only the mask of a gradient needs: nothing here. */
  @inline load(p: usize): v128 { return f32x4.splat(0); }
  @inline gradient(dy: v128, t: v128, k: v128, bias: v128): v128 { return dy; }
}

/** relu follows: NaN stays, and its gradient is 0 at 0 and at NaN. */
@final export class Relu {
  @inline output(z: v128): v128 { return v128.andnot(z, f32x4.le(z, f32x4.splat(0))); }
  @inline load(p: usize): v128 { return v128.load(p); }
  @inline gradient(dy: v128, t: v128, k: v128, bias: v128): v128 {
    return v128.and(dy, f32x4.gt(f32x4.add(f32x4.mul(t, k), bias), f32x4.splat(0)));
  }
}
