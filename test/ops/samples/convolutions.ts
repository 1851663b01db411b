import * as ops from "../../../src/ops/index.js";
import { gradientOf } from "./gradient-of.js";
import { any, constant, type Sample, type SampleTable, sample } from "./sample.js";

/** Shapes of x, the weight and the output. */
interface Geometry<Options> {
  title: string;
  x: number[];
  weight: number[];
  out: number[];
  options?: Options;
}

const lines: readonly Geometry<ops.Conv1dOptions>[] = [
  { title: "conv1d", x: [2, 3, 5], weight: [2, 3, 3], out: [2, 2, 3] },
  { title: "conv1d of one value", x: [1, 1, 1], weight: [1, 1, 1], out: [1, 1, 1] },
  {
    title: "conv1d with all options",
    x: [2, 4, 9],
    weight: [6, 2, 3],
    out: [2, 6, 4],
    options: { stride: 2, padding: 1, dilation: 2, groups: 2 },
  },
];

const volumes: readonly Geometry<ops.Conv3dOptions>[] = [
  { title: "conv3d", x: [2, 2, 3, 3, 2], weight: [2, 2, 2, 2, 2], out: [2, 2, 2, 2, 1] },
  { title: "conv3d of one value", x: [1, 1, 1, 1, 1], weight: [1, 1, 1, 1, 1], out: [1, 1, 1, 1, 1] },
  {
    title: "conv3d with padding",
    x: [1, 2, 2, 2, 3],
    weight: [1, 2, 3, 1, 3],
    out: [1, 1, 2, 2, 3],
    options: { padding: [1, 0, 1] },
  },
  {
    title: "conv3d, steps past the window",
    x: [1, 1, 6, 1, 2],
    weight: [2, 1, 2, 1, 1],
    out: [1, 2, 2, 1, 2],
    options: { stride: [3, 1, 1] },
  },
  {
    title: "conv3d with all options",
    x: [1, 4, 5, 4, 3],
    weight: [2, 2, 2, 3, 2],
    out: [1, 2, 3, 2, 3],
    options: { stride: [2, 2, 1], padding: [1, 1, 1], dilation: [2, 1, 2], groups: 2 },
  },
];

const transposed: readonly Geometry<ops.ConvTranspose2dOptions>[] = [
  { title: "convTranspose2d", x: [2, 3, 2, 3], weight: [3, 2, 3, 2], out: [2, 2, 4, 4] },
  { title: "convTranspose2d of one pixel", x: [1, 1, 1, 1], weight: [1, 1, 1, 1], out: [1, 1, 1, 1] },
  {
    title: "convTranspose2d with stride and output padding",
    x: [2, 2, 2, 2],
    weight: [2, 1, 3, 3],
    out: [2, 1, 4, 5],
    options: { stride: [2, 3], padding: 1, outputPadding: [1, 1] },
  },
  {
    title: "convTranspose2d, output padding below the dilation",
    x: [1, 2, 2, 3],
    weight: [2, 1, 2, 2],
    out: [1, 1, 7, 6],
    options: { dilation: [3, 2], outputPadding: [2, 1] },
  },
  {
    title: "convTranspose2d with groups",
    x: [1, 4, 2, 2],
    weight: [4, 2, 2, 2],
    out: [1, 4, 2, 3],
    options: { groups: 2, stride: [2, 1], padding: [1, 0] },
  },
];

type Call<Options> = (
  x: Parameters<Sample["call"]>[0],
  w: typeof x,
  b: typeof x | null,
  o?: Options,
) => ReturnType<Sample["call"]>;

/** With and without bias. */
function forward<Options>(
  call: Call<Options>,
  list: readonly Geometry<Options>[],
  outputs: (weight: number[], o?: Options) => number,
) {
  return list.flatMap(({ title, x, weight, options }) => [
    sample(title, [any(...x), any(...weight)], (a, b) => call(a!, b!, null, options)),
    sample(`${title}, bias`, [any(...x), any(...weight), any(outputs(weight, options))], (a, b, c) => call(a!, b!, c!, options)),
  ]);
}

/** The gradient towards x (0) or the weight (1). */
function backward<Options>(call: Call<Options>, list: readonly Geometry<Options>[], which: number): Sample[] {
  return list.map(({ title, x, weight, out, options }) =>
    sample(
      title,
      [any(...x), any(...weight), any(...out)],
      gradientOf((a, b) => call(a!, b!, null, options), which),
    ),
  );
}

const rows = (weight: number[]) => weight[0]!;
const conv3ds = forward(ops.conv3d, volumes, rows);

/** By the ops that the convolutions are made of. */
export const convolutions: SampleTable = {
  conv2d: [
    ...forward(ops.conv1d, lines, rows),
    ...conv3ds,
    ...backward(ops.convTranspose2d, transposed, 0),
    sample("conv1d with a frozen weight", [any(1, 1, 4), constant(any(1, 1, 2)), any(1)], (x, w, b) => ops.conv1d(x!, w!, b!)),
  ],
  conv2dBackwardInput: [
    ...forward(ops.convTranspose2d, transposed, (weight, o) => weight[1]! * (o?.groups ?? 1)),
    ...backward(ops.conv1d, lines, 0),
    ...backward(ops.conv3d, volumes, 0),
  ],
  conv2dBackwardWeight: [
    ...backward(ops.conv1d, lines, 1),
    ...backward(ops.conv3d, volumes, 1),
    ...backward(ops.convTranspose2d, transposed, 1),
  ],
  depthWindows: conv3ds,
  depthWindowsBackward: backward(ops.conv3d, volumes, 0),
};
