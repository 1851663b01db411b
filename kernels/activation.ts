// What may follow batch normalization in the same pass. The classes are never made: loops take one as a type, as in
// elementwise.ts. The results have the bits of the kernels unary and unaryBackward after and before one without relu.

import { madd } from "./gemm";

/** Nothing follows. */
@final export class Plain {
  @inline output(z: v128): v128 { return z; }
  /** What only the mask of a gradient needs: nothing here. */
  @inline load(p: usize): v128 { return f32x4.splat(0); }
  @inline gradient(dy: v128, t: v128, k: v128, bias: v128): v128 { return dy; }
}

/** relu follows: NaN stays, and its gradient is 0 at 0 and at NaN. */
@final export class Relu {
  // z is never -0, which would stay: a sum is -0 only if both terms are, and the bias is not.
  @inline output(z: v128): v128 { return f32x4.pmax(z, f32x4.splat(0)); }
  @inline load(p: usize): v128 { return v128.load(p); }
  // The output before relu, computed as in the forward pass.
  @inline gradient(dy: v128, t: v128, k: v128, bias: v128): v128 { return v128.and(dy, f32x4.gt(madd(t, k, bias), f32x4.splat(0))); }
}
