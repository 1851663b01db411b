import { basename } from "node:path";
import { DataError } from "../core/errors.js";
import { type TableOptions, tableFromCsv } from "./csv.js";
import type { TableSet } from "./dataset.js";
import { readFileIfThere } from "./files-node.js";

/**
 * A table set from a CSV file, plain or gzipped, in UTF-8; see `tableFromCsv` for the options.
 * @throws DataError if the file is not there, is not UTF-8, or naming the line and column that cannot be used
 */
export async function loadCsv(path: string, options: Omit<TableOptions, "file" | "source"> = {}): Promise<TableSet> {
  const found = await readFileIfThere(path);
  if (found === null) throw new DataError(`${path}: there is no such file.`);
  let text: string;
  try {
    text = new TextDecoder("utf-8", { fatal: true }).decode(found.bytes);
  } catch (cause) {
    throw new DataError(`${path}: expected text in UTF-8, got other bytes.`, { cause });
  }
  return tableFromCsv(text, { name: basename(path), ...options, file: path });
}
