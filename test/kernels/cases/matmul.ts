import { type CaseTable, type KernelCase, Maker, output } from "./case.js";

const make = new Maker(4);

interface Options {
  batch?: number;
  transA?: 0 | 1;
  transB?: 0 | 1;
  bias?: boolean;
  /** The same a, or b, for every batch. */
  repeatA?: boolean;
  repeatB?: boolean;
}

function matmul(m: number, n: number, k: number, options: Options = {}): KernelCase<"matmul"> {
  const { batch = 1, transA = 0, transB = 0, bias = false, repeatA = false, repeatB = false } = options;
  return {
    title: `${m} × ${n} × ${k} ${JSON.stringify(options)}`,
    buffers: {
      a: make.normal((repeatA ? 1 : batch) * m * k),
      b: make.normal((repeatB ? 1 : batch) * k * n),
      bias: bias ? make.normal(n) : null,
      y: output(batch * m * n),
    },
    scalars: { batch, m, n, k, transA, transB, aBatch: repeatA ? 0 : m * k, bBatch: repeatB ? 0 : k * n },
  };
}

const layouts: Options[] = [{}, { transA: 1 }, { transB: 1 }, { transA: 1, transB: 1 }];
const sizes = [
  [1, 1, 1],
  [5, 13, 17],
  [17, 65, 1],
  [65, 5, 257],
  [13, 17, 600],
  [129, 130, 65],
  [1, 300, 65],
  [300, 1, 65],
] as const;

export const matmulCases: CaseTable<"matmul"> = {
  matmul: [
    ...sizes.flatMap(([m, n, k]) => layouts.map((layout) => matmul(m, n, k, layout))),
    ...layouts.map((layout) => matmul(301, 299, 300, layout)),
    matmul(0, 5, 3),
    matmul(5, 0, 3),
    matmul(5, 3, 0, { bias: true }),
    matmul(5, 3, 0),
    matmul(60, 100, 784, { transB: 1, bias: true }),
    matmul(1, 10, 784, { transB: 1, bias: true }),
    matmul(33, 10, 65, { bias: true }),
    matmul(512, 10, 64, { transB: 1, bias: true }),
    matmul(0, 0, 0, { batch: 0 }),
    matmul(13, 17, 5, { batch: 7 }),
    matmul(13, 17, 5, { batch: 7, bias: true, transB: 1 }),
    matmul(13, 17, 65, { batch: 3, repeatA: true }),
    matmul(13, 17, 65, { batch: 3, repeatB: true, transA: 1 }),
    matmul(65, 33, 257, { batch: 2, repeatB: true, transB: 1, bias: true }),
  ],
};
