import type { Args } from "./arrays.js";

type Geometry = Omit<Args<"depthWindows">, "x" | "y">;

/**
 * Visits the places of x [n, c, d, s] and y [n, od, c, kd, s] that hold the same value: y[·, o, ·, k] is x at depth
 * o·stride - padding + k·dilation. Where there is no such depth, x is -1.
 */
function forEachPlace(g: Geometry, visit: (x: number, y: number) => void): void {
  let y = 0;
  for (let image = 0; image < g.n; image++) {
    for (let o = 0; o < g.od; o++) {
      for (let channel = 0; channel < g.c; channel++) {
        for (let k = 0; k < g.kd; k++) {
          const depth = o * g.stride - g.padding + k * g.dilation;
          const inside = depth >= 0 && depth < g.d;
          const row = ((image * g.c + channel) * g.d + depth) * g.s;
          for (let i = 0; i < g.s; i++) visit(inside ? row + i : -1, y++);
        }
      }
    }
  }
}

/** y[n, o, c, k, i] = x[n, c, o·stride - padding + k·dilation, i], 0 beyond the ends of x. */
export function depthWindows(a: Args<"depthWindows">): void {
  forEachPlace(a, (from, to) => {
    a.y[to] = from < 0 ? 0 : a.x[from]!;
  });
}

/** dx[n, c, d, i] = Σ dy over the places to which depthWindows brings that value. */
export function depthWindowsBackward(a: Args<"depthWindowsBackward">): void {
  for (let i = 0; i < a.n * a.c * a.d * a.s; i++) a.dx[i] = 0;
  forEachPlace(a, (to, from) => {
    if (to >= 0) a.dx[to]! += a.dy[from]!;
  });
}
