import { noGrad } from "../autograd/mode.js";
import { OptionError, TrainingError } from "../core/errors.js";
import type { Storage } from "../engine/backend.js";
import { maximum, minimum } from "../ops/index.js";
import { tidy } from "../tensor/scope.js";
import type { Tensor } from "../tensor/tensor.js";
import { Cell } from "./cell.js";

/** The norm of all gradients before they were clipped; reading it runs what is pending. */
export class GradNorm {
  constructor(private readonly squares: Cell | null) {}

  item(): number {
    return this.squares === null ? 0 : Math.sqrt(this.squares.read());
  }

  dispose(): void {
    this.squares?.dispose();
  }

  /** For `tidy`, which lets what is returned from it live. */
  leaveScope(): void {
    this.squares?.keep();
  }
}

/**
 * Scales all gradients together, in place, so that their common Euclidean norm is at most `maxNorm`: g ← g · min(1, maxNorm /
 * (norm + 1e-6)). Parameters without a gradient are left out; a gradient that several share counts once. Where the norm is NaN
 * the gradients stay as they are.
 *
 * @param maxNorm above 0; Infinity measures only
 * @param options.errorIfNonfinite reads the norm and throws if it is not finite (default false)
 * @returns the norm before clipping
 * @throws TrainingError see `errorIfNonfinite`; the gradients are unchanged then
 * @see Pascanu, Mikolov, Bengio 2013, algorithm 1
 */
export function clipGradNorm(
  params: Iterable<Tensor>,
  maxNorm: number,
  { errorIfNonfinite = false }: { errorIfNonfinite?: boolean } = {},
): GradNorm {
  if (!(maxNorm > 0)) throw new OptionError(`clipGradNorm: expected maxNorm above 0, got ${maxNorm}.`);
  const xs = gradientsOf(params);
  const [first] = xs;
  if (first === undefined) return new GradNorm(null);
  const { backend } = first;
  const sizes = xs.map((x) => x.length);
  const squares = new Cell(backend, 0);
  backend.call("addSquares", { xs, sizes, total: squares.storage });
  const norm = new GradNorm(squares);
  if (errorIfNonfinite && !Number.isFinite(norm.item())) {
    throw new TrainingError(
      `clipGradNorm: The total norm of the gradients is non-finite (${norm.item()}), so it cannot be clipped. Lower the learning rate.`,
    );
  }
  backend.call("clipScale", { xs, sizes, total: squares.storage, maxNorm });
  return norm;
}

/**
 * Limits every value of every gradient to [−limit, limit].
 * @param limit at least 0
 */
export function clipGradValue(params: Iterable<Tensor>, limit: number): void {
  if (!(limit >= 0)) throw new OptionError(`clipGradValue: expected a limit of at least 0, got ${limit}.`);
  noGrad(() =>
    tidy(() => {
      for (const p of params) if (p.grad !== null) p.grad = minimum(maximum(p.grad, -limit), limit);
    }),
  );
}

/** The memory of all gradients, each once. */
function gradientsOf(params: Iterable<Tensor>): Storage[] {
  return [...new Set([...params].flatMap((p) => (p.grad === null || p.grad.size === 0 ? [] : [p.grad.storage])))];
}
