import { OptionError } from "../core/errors.js";
import type * as nn from "../nn/index.js";

/** Shape of one example. */
export type Shape = readonly number[];

/** A built layer and the shape of one example behind it. */
export interface Built {
  module: nn.Module;
  shape: Shape;
}

/** Weights that a network from a file may have: 1 GB of them. */
const MOST_WEIGHTS = 2 ** 28;

/** Where in a description a layer stands, and how many weights the network may still have. */
export class Place {
  constructor(
    readonly path: string,
    private readonly budget = { left: MOST_WEIGHTS },
  ) {}

  /** "network[3]" → "network[3].branch[0]" and the like. */
  at(part: string): Place {
    return new Place(`${this.path}${part}`, this.budget);
  }

  fail(what: string): never {
    throw new OptionError(`${this.path}: ${what}`);
  }

  /** Counts weights before memory is taken for them, since the file that asks for them may be damaged or malicious. */
  spend(weights: number): void {
    this.budget.left -= weights;
    if (!(this.budget.left >= 0)) this.fail(`the network has more than ${MOST_WEIGHTS} weights with this layer.`);
  }
}

/** Keeps the options that are given: a layer's own defaults stand for the others. */
export function given<T extends object>(options: T): { [K in keyof T]: Exclude<T[K], undefined> } {
  return Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined)) as never;
}
