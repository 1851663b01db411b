import { type BufferSpec, type CaseTable, cell, floats, ints, type KernelCase, Maker, output, pad, sizes } from "./case.js";

const make = new Maker(1);

function stridedCopy(
  title: string,
  x: BufferSpec,
  y: BufferSpec,
  dims: { shape: number[]; x: number[]; y: number[]; xOffset?: number; yOffset?: number },
): KernelCase<"stridedCopy"> {
  return {
    title,
    buffers: { x, y },
    scalars: {
      shape: pad(dims.shape, 1),
      xStrides: pad(dims.x, 0),
      yStrides: pad(dims.y, 0),
      xOffset: dims.xOffset ?? 0,
      yOffset: dims.yOffset ?? 0,
    },
  };
}

const gather = (n: number, rows: number, width: number, x: BufferSpec): KernelCase<"gatherRows"> => ({
  title: `${n} of ${rows} rows of ${width}, ${x.dtype}`,
  buffers: { x, index: make.integers(n, rows), y: output(n * width, x.dtype) },
  scalars: { n, width },
});

const gatherBytes = (n: number, rows: number, width: number): KernelCase<"gatherBytes"> => ({
  title: `${n} of ${rows} rows of ${width}`,
  buffers: { x: make.bytes(rows * width), index: make.integers(n, rows), y: output(n * width) },
  scalars: { n, width, scale: 1 / 255 / 0.3081, shift: -0.1307 / 0.3081 },
});

export const memoryCases: CaseTable<
  | "fill"
  | "fillInt"
  | "fillCell"
  | "copyCell"
  | "copy"
  | "stridedCopy"
  | "gatherRows"
  | "gatherBytes"
  | "oneHot"
  | "addToCell"
  | "addToInt"
> = {
  fill: [
    ...sizes.map((n) => ({ title: `n = ${n}`, buffers: { y: output(n) }, scalars: { n, value: 0.1 } })),
    { title: "-Infinity", buffers: { y: output(7) }, scalars: { n: 7, value: -Infinity } },
  ],
  fillInt: sizes.map((n) => ({ title: `n = ${n}`, buffers: { y: output(n, "int32") }, scalars: { n, value: -7 } })),
  fillCell: [{ title: "0.1 in 64 bits", buffers: { y: output(1, "float64") }, scalars: { value: 0.1 } }],
  copyCell: [{ title: "1e-12 in 64 bits", buffers: { x: cell(1e-12), y: output(1, "float64") }, scalars: {} }],
  copy: [
    ...sizes.map((n) => ({ title: `n = ${n}`, buffers: { x: make.normal(n), y: output(n) }, scalars: { n } })),
    { title: "int32", buffers: { x: make.integers(17, 2 ** 31), y: output(17, "int32") }, scalars: { n: 17 } },
  ],
  stridedCopy: [
    stridedCopy("nothing", floats([]), make.normal(3), { shape: [0, 3], x: [3, 1], y: [3, 1] }),
    stridedCopy("contiguous", make.normal(40003), make.normal(40003), { shape: [40003], x: [1], y: [1] }),
    stridedCopy("transposed", make.normal(300 * 130), make.normal(300 * 130), { shape: [130, 300], x: [1, 130], y: [300, 1] }),
    stridedCopy("small transposed int32", make.integers(35, 99), make.integers(35, 99), { shape: [5, 7], x: [1, 5], y: [7, 1] }),
    stridedCopy("into a part of y", make.normal(15), make.normal(90), { shape: [3, 5], x: [5, 1], y: [10, 2], yOffset: 31 }),
    stridedCopy("from a part of x", make.normal(90), make.normal(15), { shape: [3, 5], x: [20, 3], y: [5, 1], xOffset: 17 }),
    stridedCopy("repeated", make.normal(13), make.normal(17 * 13 * 5), { shape: [17, 13, 5], x: [0, 1, 0], y: [65, 5, 1] }),
    stridedCopy("reversed", make.normal(65), make.normal(65), { shape: [65], x: [-1], y: [1], xOffset: 64 }),
    stridedCopy("six axes reordered", make.normal(720), make.normal(720), {
      shape: [2, 3, 4, 5, 3, 2],
      x: [1, 2, 6, 24, 120, 360],
      y: [360, 120, 30, 6, 2, 1],
    }),
  ],
  gatherRows: [
    gather(0, 3, 5, make.normal(15)),
    gather(1, 1, 1, make.normal(1)),
    gather(65, 130, 13, make.normal(130 * 13)),
    gather(60, 100, 784, make.normal(100 * 784)),
    gather(9000, 17, 1, make.integers(17, 10)),
  ],
  gatherBytes: [gatherBytes(0, 3, 5), gatherBytes(1, 1, 1), gatherBytes(17, 20, 13), gatherBytes(60, 100, 784)],
  oneHot: [
    { title: "nothing", buffers: { index: ints([]), y: output(0) }, scalars: { n: 0, classes: 10 } },
    { title: "5000 of 10", buffers: { index: make.integers(5000, 10), y: output(50000) }, scalars: { n: 5000, classes: 10 } },
    { title: "out of range", buffers: { index: ints([-1, 0, 2, 3, -100]), y: output(15) }, scalars: { n: 5, classes: 3 } },
  ],
  addToCell: [{ title: "1e-12 to 1", buffers: { cell: cell(1) }, scalars: { amount: 1e-12 } }],
  addToInt: [
    { title: "1", buffers: { cell: ints([41]), condition: null }, scalars: { amount: 1 } },
    { title: "-3", buffers: { cell: ints([1]), condition: null }, scalars: { amount: -3 } },
    { title: "a condition that holds", buffers: { cell: ints([1]), condition: floats([0.5]) }, scalars: { amount: 2 } },
    { title: "a condition that does not", buffers: { cell: ints([1]), condition: floats([0]) }, scalars: { amount: 2 } },
  ],
};
