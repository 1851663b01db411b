// Images of black and white, as in figure 1 of the paper.
import type { ImageSet } from "../data/dataset.js";

/** The set with every pixel at 0 or 1: white from half on. */
export function binarized(set: ImageSet): ImageSet {
  return { ...set, images: set.images.map((byte) => (byte < 128 ? 0 : 255)) };
}
