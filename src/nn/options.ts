import { OptionError } from "../core/errors.js";

/** One number for both axes of an image, or [height, width]. */
export type Pair = number | readonly [height: number, width: number];

/** One number for all three axes of a volume, or [depth, height, width]. */
export type Triple = number | readonly [depth: number, height: number, width: number];

/** Refuses what is not an integer of at least `least`. */
export function checkInteger(who: string, name: string, value: number, least = 1): void {
  if (!Number.isInteger(value) || value < least) {
    throw new OptionError(`${who}: expected ${name} to be an integer of at least ${least}, got ${value}.`);
  }
}

/** [height, width] from a pair. @throws OptionError if a number is not an integer of at least `least` */
export function toPair(who: string, name: string, value: Pair, least = 1): readonly [number, number] {
  const pair = typeof value === "number" ? ([value, value] as const) : value;
  if (!Array.isArray(pair) || pair.length !== 2) {
    throw new OptionError(`${who}: expected ${name} to be a number or a pair [height, width], got ${JSON.stringify(value)}.`);
  }
  for (const n of pair) checkInteger(who, name, n, least);
  return [pair[0], pair[1]];
}

/** [depth, height, width] from a triple. @throws OptionError if a number is not an integer of at least `least` */
export function toTriple(who: string, name: string, value: Triple, least = 1): readonly [number, number, number] {
  const triple = typeof value === "number" ? ([value, value, value] as const) : value;
  if (!Array.isArray(triple) || triple.length !== 3) {
    throw new OptionError(
      `${who}: expected ${name} to be a number or three of them [depth, height, width], got ${JSON.stringify(value)}.`,
    );
  }
  for (const n of triple) checkInteger(who, name, n, least);
  return [triple[0], triple[1], triple[2]];
}

/** A pair as text: one number if both are equal. */
export function formatPair([height, width]: readonly [number, number]): string {
  return height === width ? String(height) : `[${height}, ${width}]`;
}
