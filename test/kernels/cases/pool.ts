import { type BufferSpec, type CaseTable, floats, type KernelCase, Maker, output, outputSize, withValues } from "./case.js";

const make = new Maker(6);

type Shape = readonly [planes: number, h: number, w: number];
type Window = { kernel: readonly [number, number]; stride: readonly [number, number]; padding: readonly [number, number] };

const square = (kernel: number, stride: number, padding = 0): Window => ({
  kernel: [kernel, kernel],
  stride: [stride, stride],
  padding: [padding, padding],
});

const geometries: readonly (readonly [Shape, Window])[] = [
  [[0, 4, 4], square(2, 2)],
  [[1, 1, 1], square(1, 1)],
  [[3, 1, 1], square(3, 2, 1)],
  [[5, 4, 4], square(2, 2)],
  [[13, 7, 9], square(2, 2)],
  [[65, 13, 17], square(2, 2)],
  [[17, 12, 12], square(3, 2, 1)],
  [[5, 9, 8], square(3, 1, 1)],
  [[6, 11, 13], square(2, 3)],
  [[4, 10, 7], { kernel: [3, 2], stride: [1, 2], padding: [1, 0] }],
  [[2, 130, 131], square(2, 2)],
  [[33, 33, 33], square(3, 2, 1)],
];

/** `ceil` makes the last window stick out beyond the padding, as PyTorch's ceil_mode does. */
function pool([planes, h, w]: Shape, { kernel, stride, padding }: Window, ceil = 0) {
  const [kh, kw] = kernel;
  const [sh, sw] = stride;
  const [ph, pw] = padding;
  const oh = outputSize(h, kh, sh, ph) + ceil;
  const ow = outputSize(w, kw, sw, pw) + ceil;
  return {
    title: `[${planes}, ${h}, ${w}] by ${kh} × ${kw}, stride ${sh}, ${sw}, padding ${ph}, ${pw}${ceil ? ", ceil" : ""}`,
    scalars: { planes, h, w, kh, kw, sh, sw, ph, pw, oh, ow },
    input: planes * h * w,
    result: planes * oh * ow,
  };
}

const ceiled = [pool([5, 8, 8], square(3, 2), 1), pool([3, 7, 7], square(2, 2, 1), 0), pool([2, 6, 6], square(3, 2, 1), 1)];
const all = [...geometries.map(([shape, window]) => pool(shape, window)), ...ceiled];
type Pool = ReturnType<typeof pool>;

const max = (c: Pool, x: BufferSpec, what = ""): KernelCase<"maxPool2d"> => ({
  title: c.title + what,
  buffers: { x, y: output(c.result), index: output(c.result, "int32") },
  scalars: c.scalars,
});

const maxBackward = (planes: number, size: number, outSize: number): KernelCase<"maxPool2dBackward"> => ({
  title: `${planes} planes, ${outSize} outputs to ${size} pixels`,
  buffers: { dy: make.normal(planes * outSize), index: make.integers(planes * outSize, size), dx: output(planes * size) },
  scalars: { planes, size, outSize },
});

const maxGather = (planes: number, size: number, outSize: number): KernelCase<"maxPool2dGather"> => ({
  title: `${planes} planes, ${outSize} of ${size} pixels`,
  buffers: { x: make.normal(planes * size), index: make.integers(planes * outSize, size), y: output(planes * outSize) },
  scalars: { planes, size, outSize },
});

const adaptive = ([planes, h, w]: Shape, oh: number, ow: number) => ({
  title: `[${planes}, ${h}, ${w}] to ${oh} × ${ow}`,
  scalars: { planes, h, w, oh, ow },
  input: planes * h * w,
  result: planes * oh * ow,
});

const adaptives = [
  adaptive([0, 4, 4], 1, 1),
  adaptive([3, 1, 1], 1, 1),
  adaptive([65, 8, 8], 1, 1),
  adaptive([13, 17, 5], 1, 1),
  adaptive([5, 13, 17], 4, 5),
  adaptive([5, 7, 7], 7, 7),
  adaptive([3, 2, 3], 5, 7),
  adaptive([2, 130, 131], 6, 6),
  adaptive([300, 10, 10], 3, 3),
];

const counts = all.flatMap((c) => [0, 1].map((countPad) => ({ ...c, title: `${c.title}, countPad ${countPad}`, countPad })));

export const poolCases: CaseTable<
  | "maxPool2d"
  | "maxPool2dBackward"
  | "maxPool2dGather"
  | "avgPool2d"
  | "avgPool2dBackward"
  | "adaptiveAvgPool2d"
  | "adaptiveAvgPool2dBackward"
> = {
  maxPool2d: [
    ...all.map((c) => max(c, make.normal(c.input))),
    max(pool([3, 9, 9], square(3, 2, 1)), floats(make.integers(243, 3).data!), " with ties"),
    max(pool([3, 8, 10], square(2, 2)), floats(make.integers(240, 3).data!), " with ties"),
    max(pool([2, 6, 6], square(2, 2)), withValues(make.normal(72), [3, NaN], [36, NaN], [71, NaN]), " with NaN"),
    max(pool([2, 7, 7], square(3, 2, 1)), withValues(make.normal(98), [24, NaN]), " with NaN"),
    max(pool([1, 4, 4], square(2, 2)), floats(new Array(16).fill(-Infinity)), ", all -Infinity"),
  ],
  maxPool2dBackward: [
    maxBackward(0, 4, 1),
    maxBackward(1, 1, 1),
    maxBackward(13, 49, 16),
    maxBackward(65, 100, 225),
    maxBackward(2, 17161, 4225),
  ],
  maxPool2dGather: [
    maxGather(0, 4, 1),
    maxGather(1, 1, 1),
    maxGather(13, 49, 16),
    maxGather(65, 100, 225),
    maxGather(2, 17161, 4225),
  ],
  avgPool2d: counts.map((c) => ({
    title: c.title,
    buffers: { x: make.normal(c.input), y: output(c.result) },
    scalars: { ...c.scalars, countPad: c.countPad },
  })),
  avgPool2dBackward: counts.map((c) => ({
    title: c.title,
    buffers: { dy: make.normal(c.result), dx: output(c.input) },
    scalars: { ...c.scalars, countPad: c.countPad },
  })),
  adaptiveAvgPool2d: adaptives.map((c) => ({
    title: c.title,
    buffers: { x: make.normal(c.input), y: output(c.result) },
    scalars: c.scalars,
  })),
  adaptiveAvgPool2dBackward: adaptives.map((c) => ({
    title: c.title,
    buffers: { dy: make.normal(c.result), dx: output(c.input) },
    scalars: c.scalars,
  })),
};
