import type { KernelArgs } from "../kernels.js";

type Geometry = Omit<KernelArgs<"conv2d", unknown>, "x" | "weight" | "bias" | "y">;

/** Bytes for packed weights and for a copied image in kernels/conv-direct.ts. */
const WEIGHT_BYTES = 131072;
const IMAGE_BYTES = 360_000;
/** Units whose sums have room in kernels/conv-direct-weight.ts, and bytes for copied images there. */
const MOST_SUMS = 560;
const IMAGES_BYTES = 327680;
/** Output channels and places of a unit there. */
const SIDE = 3;
/** Most output channels for which reading the image again beats packing its patches. */
const MOST_CHANNELS = 32;
/** Room at the end of a copied row for what the last tile reads beyond it. */
const SLACK = 12;

const stepsAlongRows = (a: Geometry): boolean => a.groups === 1 && a.sw === 1 && a.dh === 1 && a.dw === 1 && a.kh * a.kw > 1;

/** Whether `from` channels of h × w pixels, padded by `pad` columns, are convolved straight from the image into `to` channels. */
function fits(a: Geometry, from: number, to: number, h: number, w: number, pad: number): boolean {
  const weights = Math.ceil(to / 3) * 4 * from * a.kh * a.kw * 4;
  return to <= MOST_CHANNELS && weights <= WEIGHT_BYTES && from * h * (w + 2 * pad + SLACK) * 4 <= IMAGE_BYTES;
}

export function suitsDirect(a: Geometry): boolean {
  return stepsAlongRows(a) && fits(a, a.ci, a.co, a.h, a.w, a.pw);
}

export function suitsDirectInput(a: Geometry): boolean {
  const [ph, pw] = [a.kh - 1 - a.ph, a.kw - 1 - a.pw];
  return stepsAlongRows(a) && a.sh === 1 && ph >= 0 && pw >= 0 && fits(a, a.co, a.ci, a.oh, a.ow, pw);
}

/** Units of the direct gradient towards the weights; 0 where it is not used. */
export function directWeightUnits(a: Geometry): number {
  if (!stepsAlongRows(a) || a.kw < SIDE) return 0;
  if (a.ci * a.h * (a.w + 2 * a.pw + SLACK) * 4 > IMAGES_BYTES) return 0;
  const units = Math.ceil(a.co / SIDE) * a.ci * a.kh * Math.ceil(a.kw / SIDE);
  return units <= MOST_SUMS ? units : 0;
}
