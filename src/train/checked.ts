import type { z } from "zod";
import { OptionError } from "../core/errors.js";

/** Lists and objects in a description lie no deeper within each other; what reads them is recursive. */
const MOST_DEPTH = 64;

/** "network[3].out" from the parts of a path. */
function placeOf(path: readonly PropertyKey[]): string {
  if (path.length === 0) return "the top level";
  return path.map((part, i) => (typeof part === "number" ? `[${part}]` : `${i > 0 ? "." : ""}${String(part)}`)).join("");
}

function isDeeper(value: unknown, depth: number): boolean {
  if (typeof value !== "object" || value === null) return false;
  return depth === 0 || Object.values(value).some((inner) => isDeeper(inner, depth - 1));
}

/** A value from JSON text. @throws OptionError that names the file, if it does not parse or is nested too deeply */
export function parseJson(text: string, file: string): unknown {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw new OptionError(`${file}: expected JSON, got text that does not parse (${(cause as Error).message}).`, { cause });
  }
  if (isDeeper(value, MOST_DEPTH)) throw new OptionError(`${file}: expected lists at most ${MOST_DEPTH} deep, got deeper ones.`);
  return value;
}

/** What the schema makes of a value. @throws OptionError that names file and place of the first thing that is wrong */
export function checked<S extends z.ZodType>(schema: S, value: unknown, file: string): z.output<S> {
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  const issue = result.error.issues[0];
  throw new OptionError(
    `${file}: at ${placeOf(issue?.path ?? [])}: ${issue?.message ?? "not a configuration"}.`.replace(/\.\.$/, "."),
  );
}
