import { type CaseTable, type KernelCase, Maker, output, outputSize } from "./case.js";

const make = new Maker(5);

interface Options {
  stride?: readonly [number, number];
  padding?: readonly [number, number];
  dilation?: readonly [number, number];
  groups?: number;
}

type Shape = readonly [n: number, ci: number, h: number, w: number, co: number, kh: number, kw: number];

const geometries: readonly (readonly [Shape, Options])[] = [
  [[1, 1, 1, 1, 1, 1, 1], {}],
  [[0, 3, 5, 5, 2, 3, 3], {}],
  [[2, 3, 1, 1, 5, 3, 3], { padding: [1, 1] }],
  [[2, 5, 7, 9, 13, 1, 1], {}],
  [[3, 65, 5, 5, 17, 1, 1], {}],
  [[2, 17, 9, 8, 13, 1, 1], { stride: [2, 2] }],
  [[2, 3, 13, 11, 5, 3, 3], { padding: [1, 1] }],
  [[2, 17, 13, 13, 65, 3, 3], { padding: [1, 1] }],
  [[1, 65, 17, 16, 33, 3, 3], { padding: [1, 1] }],
  [[5, 13, 16, 16, 16, 3, 3], { padding: [1, 1], stride: [2, 2] }],
  [[2, 1, 28, 28, 6, 5, 5], {}],
  [[9, 6, 12, 12, 16, 5, 5], {}],
  [[2, 3, 32, 32, 16, 7, 7], { stride: [2, 2], padding: [3, 3] }],
  [[2, 5, 12, 9, 7, 2, 5], { stride: [3, 1], padding: [0, 2] }],
  [[1, 4, 15, 17, 6, 3, 2], { dilation: [2, 3], padding: [2, 1] }],
  [[2, 13, 9, 9, 13, 3, 3], { groups: 13, padding: [1, 1] }],
  [[2, 6, 10, 10, 12, 3, 3], { groups: 3, padding: [1, 1] }],
  [[1, 8, 11, 11, 16, 3, 3], { groups: 8, stride: [2, 1], dilation: [1, 2], padding: [1, 2] }],
  [[2, 3, 6, 6, 4, 1, 1], { padding: [2, 1] }],
  [[2, 3, 5, 5, 130, 5, 5], {}],
  [[40, 5, 8, 8, 13, 3, 3], { padding: [1, 1] }],
  [[2, 33, 40, 40, 5, 3, 3], { padding: [1, 1] }],
  // Straight from the image: kernels larger than it, padding wider than the kernel, one row or column, every last tile.
  [[3, 2, 5, 7, 7, 7, 7], { padding: [3, 3] }],
  [[2, 7, 9, 13, 3, 4, 3], { padding: [1, 0] }],
  [[1, 1, 3, 30, 9, 3, 7], { padding: [2, 5] }],
  [[2, 3, 4, 6, 5, 3, 3], { padding: [4, 4] }],
  [[2, 4, 9, 1, 3, 3, 1], { padding: [1, 0], stride: [2, 1] }],
  [[2, 4, 1, 25, 32, 1, 3], { padding: [0, 1] }],
  [[3, 6, 10, 14, 10, 5, 4], { padding: [2, 1], stride: [3, 1] }],
];

/** Those that Winograd's algorithm computes, at least in one direction; they are compared within WINOGRAD. */
const winograd: readonly (readonly [Shape, Options])[] = [
  [[0, 16, 8, 8, 16, 3, 3], { padding: [1, 1] }],
  [[1, 8, 1, 1, 8, 3, 3], { padding: [2, 2] }],
  [[1, 16, 5, 7, 12, 3, 3], { padding: [1, 1] }],
  [[3, 9, 5, 7, 11, 3, 3], {}],
  [[3, 13, 6, 5, 10, 3, 3], { padding: [2, 2] }],
  [[7, 8, 4, 4, 8, 3, 3], {}],
  [[9, 20, 9, 3, 18, 3, 3], { padding: [0, 2] }],
  [[2, 8, 7, 9, 8, 3, 3], { padding: [3, 4] }],
  [[3, 8, 3, 270, 8, 3, 3], { padding: [1, 1] }],
  [[5, 24, 12, 20, 9, 3, 3], { padding: [2, 1] }],
  [[30, 16, 10, 6, 16, 3, 3], { padding: [1, 1] }],
  [[1, 130, 4, 5, 140, 3, 3], { padding: [1, 1] }],
  [[2, 264, 4, 4, 250, 3, 3], { padding: [1, 1] }],
];
const WINOGRAD = 1e-5;

function conv([n, ci, h, w, co, kh, kw]: Shape, options: Options, tolerance?: number) {
  const [sh, sw] = options.stride ?? [1, 1];
  const [ph, pw] = options.padding ?? [0, 0];
  const [dh, dw] = options.dilation ?? [1, 1];
  const groups = options.groups ?? 1;
  const oh = outputSize(h, kh, sh, ph, dh);
  const ow = outputSize(w, kw, sw, pw, dw);
  return {
    title: `[${n}, ${ci}, ${h}, ${w}] with [${co}, ${ci / groups}, ${kh}, ${kw}] ${JSON.stringify(options)}${tolerance ? ` within ${tolerance}` : ""}`,
    tolerance: tolerance === undefined ? {} : { tolerance },
    input: n * ci * h * w,
    kernel: (co * ci * kh * kw) / groups,
    result: n * co * oh * ow,
    scalars: { n, ci, h, w, co, kh, kw, sh, sw, ph, pw, dh, dw, groups, oh, ow },
  };
}

const all = [
  ...geometries.map(([shape, options]) => conv(shape, options)),
  ...winograd.map(([shape, options]) => conv(shape, options, WINOGRAD)),
];

const forward = (c: ReturnType<typeof conv>, bias: boolean): KernelCase<"conv2d"> => ({
  title: `${c.title}${bias ? " with bias" : ""}`,
  buffers: {
    x: make.normal(c.input),
    weight: make.normal(c.kernel),
    bias: bias ? make.normal(c.scalars.co) : null,
    y: output(c.result),
  },
  scalars: c.scalars,
  ...c.tolerance,
});

export const convCases: CaseTable<"conv2d" | "conv2dBackwardInput" | "conv2dBackwardWeight"> = {
  conv2d: all.flatMap((c, i) => (i % 3 === 0 ? [forward(c, false), forward(c, true)] : [forward(c, i % 2 === 0)])),
  conv2dBackwardInput: all.map((c) => ({
    title: c.title,
    buffers: { dy: make.normal(c.result), weight: make.normal(c.kernel), dx: output(c.input) },
    scalars: c.scalars,
    ...c.tolerance,
  })),
  conv2dBackwardWeight: all.map((c) => ({
    title: c.title,
    buffers: { x: make.normal(c.input), dy: make.normal(c.result), dweight: output(c.kernel) },
    scalars: c.scalars,
    ...c.tolerance,
  })),
};
