// Images of black and white, as in figure 1 of the paper.
import type { ImageSet } from "../data/dataset.js";

const known = new WeakMap<ImageSet, ImageSet>();

/** The set with every pixel at 0 or 1: white from half on. Made once for each set, since jobs share theirs. */
export function binarized(set: ImageSet): ImageSet {
  const binary = known.get(set) ?? { ...set, images: set.images.map((byte) => (byte < 128 ? 0 : 255)) };
  known.set(set, binary);
  return binary;
}
