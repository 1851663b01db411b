import { OptionError } from "../core/errors.js";
import { BatchNorm, type Module } from "../nn/index.js";

/** Which layers: a path with * (any part of one name) and ** (any names), an expression on the path, or a function. */
export type LayerPattern = string | RegExp | ((path: string, layer: BatchNorm) => boolean);

function expressionOf(glob: string): RegExp {
  const escaped = glob.replace(/[.+?^${}()|[\]\\]/g, "\\$&");
  return new RegExp(
    `^${escaped
      .split("**")
      .map((part) => part.replaceAll("*", "[^.]*"))
      .join(".*")}$`,
  );
}

function matches(pattern: LayerPattern, path: string, layer: BatchNorm): boolean {
  if (typeof pattern === "function") return pattern(path, layer);
  return (typeof pattern === "string" ? expressionOf(pattern) : pattern).test(path);
}

/** The batch-norm layers of a model, each once, by path. */
export function batchNormsOf(model: Module): Map<string, BatchNorm> {
  const found = [...model.namedModules()].filter((entry): entry is [string, BatchNorm] => entry[1] instanceof BatchNorm);
  return new Map(found);
}

/**
 * The batch-norm layers that a pattern names (default: all), by path.
 *
 * @throws OptionError that lists the paths there are, if it names none
 */
export function selectBatchNorms(who: string, model: Module, pattern?: LayerPattern): Map<string, BatchNorm> {
  const all = batchNormsOf(model);
  if (pattern === undefined) return all;
  const chosen = new Map([...all].filter(([path, layer]) => matches(pattern, path, layer)));
  if (chosen.size > 0) return chosen;
  const paths = [...all.keys()].map((path) => JSON.stringify(path)).join(", ") || "none";
  throw new OptionError(`${who}: expected a pattern that names batch-norm layers (there are ${paths}), got ${String(pattern)}.`);
}
