// Batch normalization: forward and backward in training, and forward in evaluation.
import { sizeOf } from "../peers/data.mjs";

const SHAPES = [
  [64, 64, 32, 32],
  [64, 6, 24, 24],
  [256, 100],
  [64, 256, 8, 8],
  [2, 8],
];
const BYTES = 4;

/**
 * Training must at least read x and write y, then read x and dy and write dx: 3 reads and 2 writes of the tensor. The limit
 * is what a SIMD load/store loop of the engine takes for as many bytes: 5 calls, each one read and one write, through four
 * buffers of the same size, move twice as many. Evaluation: x in, y out: 1 call moves as many.
 */
const limits = {
  batchNormTrain: { passes: 5, rounds: 2, formula: (n) => `(3 reads + 2 writes) x ${n} values x ${BYTES} bytes` },
  batchNormEval: { passes: 1, rounds: 1, formula: (n) => `(1 read + 1 write) x ${n} values x ${BYTES} bytes` },
};

/** The row of a shape. */
export const batchNormOf = (kind, title, shape) => {
  const { passes, rounds, formula } = limits[kind];
  const n = sizeOf(shape);
  return {
    name: `batch norm ${title} [${shape.join(", ")}]`,
    kind,
    shape,
    limit: { kind: "passes", shape, passes, rounds, bytes: (2 * passes * n * BYTES) / rounds, formula: formula(n) },
  };
};

export const works = [
  ...SHAPES.map((shape) => batchNormOf("batchNormTrain", "forward + backward", shape)),
  ...SHAPES.map((shape) => batchNormOf("batchNormEval", "evaluation", shape)),
];
