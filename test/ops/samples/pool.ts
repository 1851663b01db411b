import * as ops from "../../../src/ops/index.js";
import { gradientOf } from "./gradient-of.js";
import { any, apart, type Input, type Sample, type SampleTable, sample } from "./sample.js";

interface Geometry extends ops.PoolOptions {
  title: string;
  x: [number, number, number, number];
  out: [number, number, number, number];
}

const geometries: readonly Geometry[] = [
  { title: "2×2", x: [2, 2, 4, 4], out: [2, 2, 2, 2], kernelSize: 2 },
  { title: "rows and columns left over", x: [1, 2, 5, 7], out: [1, 2, 2, 2], kernelSize: [2, 3] },
  { title: "overlap", x: [1, 2, 5, 5], out: [1, 2, 2, 2], kernelSize: 3, stride: 2 },
  { title: "overlap and padding", x: [1, 2, 5, 4], out: [1, 2, 3, 2], kernelSize: 3, stride: 2, padding: 1 },
  { title: "uneven padding", x: [2, 1, 4, 4], out: [2, 1, 4, 2], kernelSize: [3, 2], stride: [1, 2], padding: [1, 0] },
  { title: "gaps between windows", x: [1, 1, 6, 6], out: [1, 1, 2, 2], kernelSize: 2, stride: 3 },
  { title: "one pixel", x: [1, 1, 1, 1], out: [1, 1, 1, 1], kernelSize: 1 },
];

const bins: readonly { x: [number, number, number, number]; size: [number, number] }[] = [
  { x: [2, 3, 4, 4], size: [1, 1] },
  { x: [1, 2, 5, 7], size: [2, 3] },
  { x: [1, 1, 2, 3], size: [4, 5] },
  { x: [1, 2, 3, 3], size: [3, 3] },
];

const pads = [true, false];

function averages(wrap: (call: Sample["call"]) => Sample["call"], further: (g: Geometry) => Input[]): Sample[] {
  return pads.flatMap((countIncludePad) =>
    geometries.map((g) => {
      const title = `${g.title}${countIncludePad ? "" : ", padding not counted"}`;
      return sample(
        title,
        [any(...g.x), ...further(g)],
        wrap((x) => ops.avgPool2d(x!, { ...g, countIncludePad })),
      );
    }),
  );
}

export const pool: SampleTable = {
  maxPool2d: geometries.map((g) => sample(g.title, [apart(...g.x)], (x) => ops.maxPool2d(x, g))),
  maxPool2dBackward: geometries.map((g) =>
    sample(
      g.title,
      [apart(...g.x), any(...g.out)],
      gradientOf((x) => ops.maxPool2d(x!, g)),
    ),
  ),
  maxPool2dGather: geometries.map((g) =>
    sample(
      g.title,
      [apart(...g.x), any(...g.out), any(...g.x)],
      gradientOf(
        gradientOf((x) => ops.maxPool2d(x!, g)),
        1,
      ),
    ),
  ),
  avgPool2d: averages(
    (call) => call,
    () => [],
  ),
  avgPool2dBackward: averages(
    (call) => gradientOf(call),
    (g) => [any(...g.out)],
  ),
  adaptiveAvgPool2d: bins.map(({ x, size }) => sample(`[${x}] to [${size}]`, [any(...x)], (t) => ops.adaptiveAvgPool2d(t, size))),
  adaptiveAvgPool2dBackward: bins.map(({ x, size }) =>
    sample(
      `[${x}] to [${size}]`,
      [any(...x), any(x[0], x[1], ...size)],
      gradientOf((t) => ops.adaptiveAvgPool2d(t!, size)),
    ),
  ),
};
