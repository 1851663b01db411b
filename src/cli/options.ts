import { InvalidArgumentError } from "commander";

const DECIMAL = /^\+?(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?$/i;

/** A parser of whole numbers from `low` to `high`. */
export function wholeNumber(low: number, high: number): (text: string) => number {
  return (text) => {
    const value = /^\d+$/.test(text) ? Number(text) : Number.NaN;
    if (!(value >= low && value <= high)) throw new InvalidArgumentError(`Expected a whole number from ${low} to ${high}.`);
    return value;
  };
}

/** Parses a finite number above zero. */
export function positiveNumber(text: string): number {
  const value = DECIMAL.test(text) ? Number(text) : Number.NaN;
  if (!(value > 0 && value < Number.POSITIVE_INFINITY))
    throw new InvalidArgumentError("Expected a number above 0, such as 0.01.");
  return value;
}

/** Parses layer widths such as "64,128". */
export function layerWidths(text: string): number[] {
  const widths = text.split(",").map((part) => (/^\d+$/.test(part.trim()) ? Number(part) : Number.NaN));
  if (widths.length > 32 || !widths.every((width) => width >= 1 && width <= 65536)) {
    throw new InvalidArgumentError("Expected 1 to 32 widths from 1 to 65536 with commas between them, such as 64,128.");
  }
  return widths;
}

/** Parses the path of a folder. */
export function folderPath(text: string): string {
  if (text.trim() === "" || text.includes("\0")) throw new InvalidArgumentError("Expected the path of a folder.");
  return text;
}
