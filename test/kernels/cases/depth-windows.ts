import { type CaseTable, Maker, output, outputSize } from "./case.js";

const make = new Maker(7);

interface Geometry {
  n: number;
  c: number;
  d: number;
  s: number;
  kd: number;
  stride?: number;
  padding?: number;
  dilation?: number;
}

const geometries: readonly Geometry[] = [
  { n: 1, c: 1, d: 1, s: 1, kd: 1 },
  { n: 0, c: 2, d: 3, s: 4, kd: 2 },
  { n: 2, c: 3, d: 5, s: 7, kd: 3 },
  { n: 2, c: 5, d: 4, s: 65, kd: 1 },
  { n: 1, c: 2, d: 3, s: 13, kd: 5, padding: 2 },
  { n: 3, c: 2, d: 1, s: 6, kd: 3, padding: 1 },
  { n: 2, c: 3, d: 9, s: 5, kd: 2, stride: 3 },
  { n: 2, c: 4, d: 7, s: 33, kd: 3, stride: 2, padding: 1 },
  { n: 1, c: 3, d: 10, s: 9, kd: 3, stride: 2, padding: 3, dilation: 2 },
  { n: 1, c: 1, d: 2, s: 3, kd: 2, stride: 4, padding: 5, dilation: 3 },
  { n: 5, c: 17, d: 8, s: 130, kd: 3, padding: 1 },
];

const all = geometries.map(({ n, c, d, s, kd, stride = 1, padding = 0, dilation = 1 }) => {
  const od = outputSize(d, kd, stride, padding, dilation);
  return {
    title: `[${n}, ${c}, ${d}, ${s}] by ${kd}, stride ${stride}, padding ${padding}, dilation ${dilation}`,
    scalars: { n, c, d, s, od, kd, stride, padding, dilation },
    input: n * c * d * s,
    result: n * od * c * kd * s,
  };
});

export const depthWindowsCases: CaseTable<"depthWindows" | "depthWindowsBackward"> = {
  depthWindows: all.map(({ title, scalars, input, result }) => ({
    title,
    buffers: { x: make.normal(input), y: output(result) },
    scalars,
  })),
  depthWindowsBackward: all.map(({ title, scalars, input, result }) => ({
    title,
    buffers: { dy: make.normal(result), dx: output(input) },
    scalars,
  })),
};
