import { expect } from "vitest";
import { nn, type Tensor, tensor } from "../../src/index.js";

/** Backends, and how far a result may be from the exact one, relative to it or to 1. */
export const backends = [
  ["reference", 1e-10],
  ["wasm", 1e-5],
] as const;

/** |got − wanted| ≤ tolerance · max(1, |wanted|) for each number. */
export function expectClose(got: number | ArrayLike<number>, wanted: number | ArrayLike<number>, tolerance: number): void {
  const [a, b] = [got, wanted].map((x) => (typeof x === "number" ? [x] : Array.from(x))) as [number[], number[]];
  expect(a.length).toBe(b.length);
  const worst = Math.max(...a.map((v, i) => (Object.is(v, b[i]) ? 0 : Math.abs(v - b[i]!) / Math.max(1, Math.abs(b[i]!)))));
  expect(worst, `got ${a}, wanted ${b}`).toBeLessThanOrEqual(tolerance);
}

/** Parameters w, and the loss ½ · Σ aᵢ·wᵢ²: its gradient is a·w, its Hessian diagonal with a. */
export class Quadratic extends nn.Module {
  readonly weight: Tensor;
  private readonly a: Tensor;

  constructor(a: readonly number[], w: readonly number[]) {
    super();
    this.weight = this.parameter("weight", tensor([...w]));
    this.a = this.buffer("a", tensor([...a]));
  }

  forward(): Tensor {
    return this.weight.square().mul(this.a).sum().mul(0.5);
  }
}

export const norm = (v: readonly number[]) => Math.sqrt(v.reduce((sum, x) => sum + x * x, 0));
export const inner = (u: readonly number[], v: readonly number[]) => u.reduce((sum, x, i) => sum + x * v[i]!, 0);
