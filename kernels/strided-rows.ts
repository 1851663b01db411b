// Walks two strided operands of one shape row by row, without a division per row.
import { workspace } from "./runtime";

/** A walk in progress, in this thread's workspace. Axes that are contiguous in both operands have become one. */
@unmanaged export class Rows {
  /** Elements in a row, and the distance between neighbours in each operand. */
  length: i32;
  pStride: i32;
  qStride: i32;
  /** Element offsets of the current row's first element. */
  p: i32;
  q: i32;
  /** Elements of the current row that are done. */
  column: i32;
  outerAxes: i32;
}

// Records of the outer axes, innermost first, follow the class: size, stride of p, stride of q, position.
@inline const AXES: usize = 32;
@inline const AXIS: usize = 16;
/** Bytes of workspace that a walk takes. */
@inline export const ROWS_BYTES: usize = 128;

/** Starts a walk at element `from` (row-major) of the six dimensions at `shape`, with strides at `p` and `q`. */
export function startRows(shape: usize, p: usize, q: usize, from: i32): Rows {
  const rows = changetype<Rows>(workspace);
  rows.length = 1;
  rows.pStride = 0;
  rows.qStride = 0;
  let axis = workspace + AXES - AXIS, axes = 0; // the row itself is axis 0 and lives in the class
  let size = 1, pStep = 0, qStep = 0;
  for (let at: usize = 24; at > 0; at -= 4) {
    const n = load<i32>(shape + at - 4), pNext = load<i32>(p + at - 4), qNext = load<i32>(q + at - 4);
    if (n == 1) continue;
    const joins = axes > 0 && pNext == pStep * size && qNext == qStep * size;
    if (joins) size *= n;
    else {
      axes++;
      axis += AXIS;
      size = n;
      pStep = pNext;
      qStep = qNext;
    }
    if (axes == 1) {
      rows.length = size;
      rows.pStride = pStep;
      rows.qStride = qStep;
      axis = workspace + AXES - AXIS;
    } else {
      store<i32>(axis, size);
      store<i32>(axis, pStep, 4);
      store<i32>(axis, qStep, 8);
    }
  }
  rows.outerAxes = max(axes - 1, 0);
  rows.column = from % rows.length;
  seek(rows, from / rows.length);
  return rows;
}

function seek(rows: Rows, row: i32): void {
  let p = 0, q = 0;
  const end = workspace + AXES + AXIS * rows.outerAxes;
  for (let axis = workspace + AXES; axis < end; axis += AXIS) {
    const size = load<i32>(axis), position = row % size;
    row /= size;
    store<i32>(axis, position, 12);
    p += position * load<i32>(axis, 4);
    q += position * load<i32>(axis, 8);
  }
  rows.p = p;
  rows.q = q;
}

/** Moves on by `count` elements, which do not reach beyond the current row. */
@inline export function skip(rows: Rows, count: i32): void {
  const column = rows.column + count;
  if (column < rows.length) {
    rows.column = column;
    return;
  }
  rows.column = 0;
  nextRow(rows);
}

@inline function nextRow(rows: Rows): void {
  const end = changetype<usize>(rows) + AXES + AXIS * rows.outerAxes;
  for (let axis = changetype<usize>(rows) + AXES; axis < end; axis += AXIS) {
    const position = load<i32>(axis, 12) + 1, size = load<i32>(axis);
    if (position < size) {
      store<i32>(axis, position, 12);
      rows.p += load<i32>(axis, 4);
      rows.q += load<i32>(axis, 8);
      return;
    }
    store<i32>(axis, 0, 12);
    rows.p -= (size - 1) * load<i32>(axis, 4);
    rows.q -= (size - 1) * load<i32>(axis, 8);
  }
}
