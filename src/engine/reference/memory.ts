import { type Args, forEachStrided } from "./arrays.js";

/** y[i] = value, for i < n. */
export function fill({ y, n, value }: Args<"fill">): void {
  for (let i = 0; i < n; i++) y[i] = value;
}

/** y[i] = value, for i < sizes[k], in each y of ys. */
export function fillAll({ ys, sizes, value }: Args<"fillAll">): void {
  sizes.forEach((n, k) => {
    const y = ys[k]!;
    for (let i = 0; i < n; i++) y[i] = value;
  });
}

/** y[i] = value, for i < n; y is int32. */
export function fillInt({ y, n, value }: Args<"fillInt">): void {
  for (let i = 0; i < n; i++) y[i] = value;
}

/** y[0] = value; y is a cell (float64). */
export function fillCell({ y, value }: Args<"fillCell">): void {
  y[0] = value;
}

/** y[i] = x[i], for i < n. */
export function copyCell({ x, y }: Args<"copyCell">): void {
  y[0] = x[0]!;
}

export function copy({ x, y, n }: Args<"copy">): void {
  for (let i = 0; i < n; i++) y[i] = x[i]!;
}

/** y[yOffset + Σ i·yStrides] = x[xOffset + Σ i·xStrides]; the rest of y stays. Strides may be 0 (x) or negative. */
export function stridedCopy({ x, y, shape, xStrides, yStrides, xOffset, yOffset }: Args<"stridedCopy">): void {
  forEachStrided(shape, xStrides, yStrides, (_, from, to) => {
    y[yOffset + to] = x[xOffset + from]!;
  });
}

/** y[i, j] = x[index[i], j]: n rows of `width` elements. The caller sees to it that every index names a row of x. */
export function gatherRows({ x, index, y, n, width }: Args<"gatherRows">): void {
  for (let i = 0; i < n; i++) {
    for (let j = 0; j < width; j++) y[i * width + j] = x[index[i]! * width + j]!;
  }
}

/** y[i, j] = x[index[i], j]·scale + shift; x is uint8, y float32. */
export function gatherBytes({ x, index, y, n, width, scale, shift }: Args<"gatherBytes">): void {
  for (let i = 0; i < n; i++) {
    for (let j = 0; j < width; j++) y[i * width + j] = x[index[i]! * width + j]! * scale + shift;
  }
}

/** y[i, c] = 1 if c = index[i], else 0, for c < classes; an index out of range gives a row of zeros. y is float32. */
export function oneHot({ index, y, n, classes }: Args<"oneHot">): void {
  for (let i = 0; i < n; i++) {
    for (let c = 0; c < classes; c++) y[i * classes + c] = index[i] === c ? 1 : 0;
  }
}

/** cell[0] += amount; a cell (float64). */
export function addToCell({ cell, amount }: Args<"addToCell">): void {
  cell[0]! += amount;
}

/** cell[0] += amount; int32. With a condition only where that is not 0. */
export function addToInt({ cell, amount, condition }: Args<"addToInt">): void {
  if (condition === null || condition[0] !== 0) cell[0]! += amount;
}
