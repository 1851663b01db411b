/** A value that may be missing because it was not finite. */
export type Value = number | null;

export interface Point {
  /** 1 is the first step. */
  readonly step: number;
  readonly value: number;
}

/** Width of the smoothing for a run of this many steps: odd, a fiftieth of the run, at most 51. */
export function smoothingWindow(steps: number): number {
  return Math.max(1, Math.min(51, Math.floor(steps / 50))) | 1;
}

/**
 * Smooths over `window` steps: a straight line is fitted around each step and read there. Away from the ends that is the
 * centred moving average; at the ends, where the window is cut, the line keeps the trend instead of following single
 * steps. The series breaks where a value is missing: the result is one list per unbroken piece.
 */
export function smooth(values: readonly Value[], window: number): Point[][] {
  const half = (window - 1) / 2;
  return pieces(values).map((piece) =>
    piece.map((point, i) => ({ step: point.step, value: lineAt(piece.slice(Math.max(0, i - half), i + half + 1), point.step) })),
  );
}

/** The least-squares line through the points, at `step`. */
function lineAt(points: readonly Point[], step: number): number {
  const meanStep = points.reduce((sum, point) => sum + point.step, 0) / points.length;
  const meanValue = points.reduce((sum, point) => sum + point.value, 0) / points.length;
  let across = 0;
  let along = 0;
  for (const point of points) {
    across += (point.step - meanStep) * (point.value - meanValue);
    along += (point.step - meanStep) ** 2;
  }
  return along === 0 ? meanValue : meanValue + (across / along) * (step - meanStep);
}

/** The unbroken pieces of a series. */
export function pieces(values: readonly Value[]): Point[][] {
  const result: Point[][] = [];
  let open: Point[] | undefined;
  values.forEach((value, i) => {
    if (value === null) {
      open = undefined;
      return;
    }
    if (!open) {
      open = [];
      result.push(open);
    }
    open.push({ step: i + 1, value });
  });
  return result;
}

/** Keeps the lowest and the highest point of each of about `buckets` stretches: the drawing looks the same. */
export function thin(points: readonly Point[], buckets: number): Point[] {
  if (points.length <= 2 * buckets) return [...points];
  const kept: Point[] = [];
  const size = points.length / buckets;
  for (let b = 0; b < buckets; b++) {
    const stretch = points.slice(Math.floor(b * size), Math.floor((b + 1) * size));
    const low = stretch.reduce((a, p) => (p.value < a.value ? p : a));
    const high = stretch.reduce((a, p) => (p.value > a.value ? p : a));
    kept.push(...(low === high ? [low] : low.step < high.step ? [low, high] : [high, low]));
  }
  return kept;
}

/** Mean of the values, or null if there is none or one is missing. */
export function meanOrNull(values: readonly Value[]): Value {
  let sum = 0;
  for (const value of values) {
    if (value === null) return null;
    sum += value;
  }
  return values.length === 0 ? null : sum / values.length;
}

/** Steps that a "final training loss" is the mean of: a tenth of the run, at most an epoch. */
export function finalWindow(steps: number, stepsPerEpoch: number): number {
  return Math.max(1, Math.min(stepsPerEpoch, Math.round(steps / 10)));
}

/** At most `most` items of a list, evenly spread, with the first and the last. */
export function spread<T>(items: readonly T[], most: number): T[] {
  if (items.length <= most) return [...items];
  return Array.from({ length: most }, (_, i) => items[Math.round((i * (items.length - 1)) / (most - 1))] as T);
}
