// The measurement behind the interpolation points of kernels/winograd-transforms.ts: the root mean square error of F(4×4, 3×3)
// in float32 for points 0, ±a, ±b, ∞, relative to the largest output, beside that of the direct sum. `node bench/winograd-points.mjs`.
const POINTS = [
  [1, 2],
  [1, 1 / 2],
  [3 / 4, 3 / 2],
  [2 / 3, 3 / 2],
  [Math.SQRT1_2, Math.SQRT2],
  [1 / 2, 3 / 2],
  [5 / 8, 5 / 4],
];
/** Channels and tiles that are summed. */
const SIZES = [
  [32, 64],
  [128, 64],
  [512, 24],
];
const float = Math.fround;

/** Factors of (x − p) for all p, lowest power first. */
function polynomial(roots) {
  let product = [1];
  for (const root of roots) {
    const shifted = [0, ...product];
    product.forEach((c, i) => {
      shifted[i] -= root * c;
    });
    product = shifted;
  }
  return product;
}

/** Bᵀ and A as float32, G in full (weights are transformed once and rounded then); rows are positions. */
function matrices([a, b]) {
  const points = [0, a, -a, b, -b];
  const padded = (row) => Array.from({ length: 6 }, (_, i) => float(row[i] ?? 0));
  const others = points.map((p) => points.filter((q) => q !== p));
  const norm = points.map((p, i) => others[i].reduce((product, q) => product * (p - q), 1));
  return {
    B: [...others.map((roots) => padded(polynomial(roots))), padded(polynomial(points))],
    G: [...points.map((p, i) => [1, p, p * p].map((x) => x / norm[i])), [0, 0, 1]],
    A: [...points.map((p) => [1, p, p * p, p ** 3].map(float)), [0, 0, 0, 1]],
  };
}

/** left · x · leftᵀ with every step rounded by `round`; `left` is [rows, size], x is [size, size]. */
function sandwich(left, x, size, round) {
  const rows = left.length;
  const dot = (row, value) => row.reduce((sum, c, k) => round(sum + c * value(k)), 0);
  const half = left.flatMap((row) => Array.from({ length: size }, (_, j) => dot(row, (k) => x[k * size + j])));
  return Array.from({ length: rows * rows }, (_, at) => dot(left[at % rows], (k) => half[Math.floor(at / rows) * size + k]));
}

/** Normal numbers, the same in every run. */
function generator(seed) {
  let state = seed;
  const next = () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return (state + 0.5) / 2 ** 32;
  };
  return () => float(Math.sqrt(-2 * Math.log(next())) * Math.cos(2 * Math.PI * next()));
}

/** Sums of one tile over channels: by Winograd, directly in float32, and in float64. */
function tile({ A, B, G }, channels, normal) {
  const sums = new Float32Array(36);
  const direct = new Float32Array(16);
  const exact = new Float64Array(16);
  for (let c = 0; c < channels; c++) {
    const x = Array.from({ length: 36 }, normal);
    const w = Array.from({ length: 9 }, normal);
    const v = sandwich(B, x, 6, float);
    const u = sandwich(G, w, 3, Number);
    for (let i = 0; i < 36; i++) sums[i] += float(float(u[i]) * v[i]);
    for (let at = 0; at < 16 * 9; at++) {
      const [y, tap] = [Math.floor(at / 9), at % 9];
      const product = x[((y >> 2) + Math.floor(tap / 3)) * 6 + (y & 3) + (tap % 3)] * w[tap];
      direct[y] += float(product);
      exact[y] += product;
    }
  }
  const transposed = A[0].map((_, j) => A.map((row) => row[j]));
  return { winograd: sandwich(transposed, sums, 6, float), direct, exact };
}

/** Root mean square errors over some tiles, relative to the largest output. */
function errors(points, channels, tiles) {
  const normal = generator(1);
  const m = matrices(points);
  let [winograd, direct, largest] = [0, 0, 0];
  for (let t = 0; t < tiles; t++) {
    const sums = tile(m, channels, normal);
    sums.exact.forEach((y, i) => {
      winograd += (sums.winograd[i] - y) ** 2;
      direct += (sums.direct[i] - y) ** 2;
      largest = Math.max(largest, Math.abs(y));
    });
  }
  const mean = (squares) => Math.sqrt(squares / (16 * tiles)) / largest;
  return { winograd: mean(winograd), direct: mean(direct) };
}

const rows = {};
for (const points of POINTS) {
  const row = {};
  for (const [channels, tiles] of SIZES) {
    const { winograd, direct } = errors(points, channels, tiles);
    row[`${channels} channels`] = winograd.toExponential(1);
    rows.direct ??= {};
    rows.direct[`${channels} channels`] = direct.toExponential(1);
  }
  rows[points.map((p) => `±${Number(p.toFixed(4))}`).join(", ")] = row;
}
console.table(rows);
