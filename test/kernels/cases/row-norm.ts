import { type BufferSpec, type CaseTable, floats, type KernelCase, Maker, output, withValues } from "./case.js";

const make = new Maker(17);
type Layout = readonly [rows: number, c: number, s: number, groups: number];

/** As layer normalization (s = 1, one group), group normalization, instance normalization (c = 1), and ragged ones. */
const layouts: Layout[] = [
  [4, 6, 1, 1],
  [1, 1, 1, 1],
  [513, 10, 1, 1],
  [300, 65, 1, 1],
  [2000, 130, 1, 1],
  [7, 1023, 1, 1],
  [3, 5001, 1, 1],
  [2, 40003, 1, 1],
  [12, 3, 1, 4],
  [300, 7, 1, 3],
  [6, 3, 5, 2],
  [9, 13, 17, 3],
  [64, 8, 49, 8],
  [2, 2, 9000, 2],
  [300, 1, 9, 5],
  [260, 1, 64, 130],
  [6, 1, 1030, 3],
  [3, 1, 16400, 1],
];
const dense: Layout = [33, 70, 1, 1];
const planes: Layout = [12, 3, 19, 4];

const size = ([rows, c, s]: Layout): number => rows * c * s;
const name = ([rows, c, s, groups]: Layout): string => `[${rows}, ${c}, ${s}], ${groups} groups`;
const scalars = ([rows, c, s, groups]: Layout, rms: number) => ({ rows, c, s, groups, rms });
const normal = (layout: Layout, mean = 0, std = 1): BufferSpec => make.normal(size(layout), mean, std);

/** Row r holds one value, a large one that has many digits. */
function constant(layout: Layout): BufferSpec {
  const row = layout[1] * layout[2];
  return floats(Float64Array.from({ length: size(layout) }, (_, i) => 123456.789 + 1000.1 * Math.floor(i / row)));
}

/** Row r is 10^(r % 11 − 5) times as large. */
function spread(layout: Layout): BufferSpec {
  const row = layout[1] * layout[2];
  return floats(normal(layout).data!.map((v, i) => v * 10 ** ((Math.floor(i / row) % 11) - 5)));
}

const bad = (layout: Layout): BufferSpec => withValues(normal(layout), [20, NaN], [200, Infinity], [400, -Infinity]);

interface ForwardOptions {
  weight?: boolean;
  bias?: boolean;
  eps?: number;
  rms?: 0 | 1;
  tolerance?: number;
}

function forward(layout: Layout, x: BufferSpec, options: ForwardOptions = {}, what = ""): KernelCase<"rowNorm"> {
  const { weight = true, bias = true, eps = 1e-5, rms = 0, tolerance } = options;
  const parameters = layout[3] * layout[1];
  return {
    title: `${name(layout)}${what} ${JSON.stringify(options)}`,
    buffers: {
      x,
      weight: weight ? make.normal(parameters, 1, 0.5) : null,
      bias: bias ? make.normal(parameters) : null,
      y: output(size(layout)),
      stats: output(3 * layout[0]),
    },
    scalars: { ...scalars(layout, rms), eps },
    ...(tolerance === undefined ? {} : { tolerance }),
  };
}

/** What rowNorm would have left in `stats`, as a 32-bit backend stores it. */
function statsOf(x: BufferSpec, [rows, c, s]: Layout, eps: number, rms: number): BufferSpec {
  const stats = new Float64Array(3 * rows);
  for (let row = 0; row < rows; row++) {
    const values = Float64Array.from(x.data!.slice(row * c * s, (row + 1) * c * s));
    const mean = rms ? 0 : values.reduce((a, b) => a + b, 0) / (c * s);
    const variance = values.reduce((a, b) => a + (b - mean) ** 2, 0) / (c * s);
    stats[row] = Math.fround(mean);
    stats[rows + row] = mean - Math.fround(mean);
    stats[2 * rows + row] = variance === 0 && eps === 0 ? 0 : 1 / Math.sqrt(variance + eps);
  }
  return floats(stats);
}

interface BackwardOptions {
  weight?: boolean;
  dx?: boolean;
  dweight?: boolean;
  dbias?: boolean;
  eps?: number;
  rms?: 0 | 1;
}

/** dweight and dbias are sums of terms that mostly cancel: hence a tolerance of 1e-5. */
function backward(layout: Layout, x: BufferSpec, options: BackwardOptions = {}, what = ""): KernelCase<"rowNormBackward"> {
  const { weight = true, dx = true, dweight = true, dbias = true, eps = 1e-5, rms = 0 } = options;
  const parameters = layout[3] * layout[1];
  return {
    title: `${name(layout)}${what} ${JSON.stringify(options)}`,
    buffers: {
      x,
      dy: normal(layout),
      weight: weight ? make.normal(parameters, 1, 0.5) : null,
      stats: statsOf(x, layout, eps, rms),
      dx: dx ? output(size(layout)) : null,
      dweight: dweight ? output(parameters) : null,
      dbias: dbias ? output(parameters) : null,
    },
    scalars: scalars(layout, rms),
    tolerance: 1e-5,
  };
}

const empty: Layout[] = [
  [0, 5, 1, 1],
  [0, 3, 4, 2],
  [4, 3, 0, 2],
];

/** Which gradients are asked for, of which parameters; at least one. */
const asked: BackwardOptions[] = [
  { weight: false },
  { dweight: false, dbias: false },
  { dx: false },
  { dx: false, dbias: false },
  { dx: false, dweight: false },
  { weight: false, dweight: false },
  { dbias: false, rms: 1 },
];

const offsets = [1000, 1e6, -1e6];

export const rowNormCases: CaseTable<"rowNorm" | "rowNormBackward"> = {
  rowNorm: [
    ...[...layouts, ...empty].flatMap((layout) => [
      forward(layout, normal(layout, 0.5, 2)),
      forward(layout, normal(layout, 0.5, 2), { rms: 1, bias: false }),
    ]),
    ...[dense, planes].flatMap((layout) => [
      forward(layout, normal(layout), { weight: false, bias: false }),
      forward(layout, normal(layout), { weight: false }),
      forward(layout, normal(layout), { bias: false }),
      forward(layout, constant(layout), {}, " of constant rows"),
      forward(layout, constant(layout), { eps: 0 }, " of constant rows"),
      forward(layout, floats(new Float64Array(size(layout))), { eps: 0, rms: 1 }, " of zeros"),
      forward(layout, bad(layout), {}, " with NaN and Infinity"),
      forward(layout, bad(layout), { rms: 1 }, " with NaN and Infinity"),
      forward(layout, spread(layout), {}, " over ten orders of magnitude"),
      forward(layout, spread(layout), { rms: 1 }, " over ten orders of magnitude"),
    ]),
    ...([dense, planes, [3, 5001, 1, 1], [2, 2, 9000, 2]] as const).flatMap((layout) =>
      offsets.map((offset) => forward(layout, normal(layout, offset), { tolerance: 1e-5 }, ` at offset ${offset}`)),
    ),
  ],
  rowNormBackward: [
    ...[...layouts, ...empty].flatMap((layout) => [
      backward(layout, normal(layout, 0.5, 2)),
      backward(layout, normal(layout, 0.5, 2), { rms: 1, dbias: false }),
    ]),
    ...[dense, planes].flatMap((layout) => [
      ...asked.map((options) => backward(layout, normal(layout), options)),
      backward(layout, constant(layout), {}, " of constant rows"),
      backward(layout, constant(layout), { eps: 0 }, " of constant rows"),
      backward(layout, bad(layout), {}, " with NaN and Infinity"),
      ...offsets.map((offset) => backward(layout, normal(layout, offset), {}, ` at offset ${offset}`)),
    ]),
  ],
};
