import { DataError, OptionError } from "../core/errors.js";
import { type CsvRow, parseCsv } from "./csv-parse.js";
import type { TableSet } from "./dataset.js";

export interface TableOptions {
  /** The label's column: its name in the header, its index, negative ones from the end (default −1), or null: there is none. */
  label?: string | number | null;
  /** Whether the first row names the columns (default: it does if a cell outside the label column is no number). */
  header?: boolean;
  /** What the label is: a class, or a number to predict (default "class"). */
  target?: "class" | "number";
  /** Names of the classes in the order of their indices (default: the labels found, sorted, as numbers if all are). */
  classes?: readonly string[];
  /** What parts the cells (default ","). */
  delimiter?: string;
  /** Name of the set (default "table"). */
  name?: string;
  /** The file's name for error messages (default: the set's name). */
  file?: string;
  source?: string;
}

/** The position of the label's column where there is none. */
const NO_LABEL = -1;

/**
 * A table set from CSV text: every column but the label's must hold numbers.
 *
 * @throws DataError naming line and column of the first cell that cannot be used: not a number, missing, a row of another
 *   length, a label outside `classes`, an open quote
 * @throws OptionError if the label's column does not exist
 */
export function tableFromCsv(text: string, options: TableOptions = {}): TableSet {
  const { name = "table", target = "class" } = options;
  const file = options.file ?? name;
  const rows = parseCsv(text, { file, delimiter: options.delimiter ?? "," });
  const first = rows[0];
  if (first === undefined) throw new DataError(`${file}: expected rows of comma-separated values, got an empty file.`);
  const header = hasHeader(first, options) ? first : undefined;
  const label = options.label === null ? NO_LABEL : labelColumn(first, header, options.label ?? -1, file);
  const body = header === undefined ? rows : rows.slice(1);
  if (body.length === 0) throw new DataError(`${file}: expected at least one row under the header, got none.`);

  const columns = first.cells.map((_, i) => header?.cells[i] ?? `column ${i + 1}`);
  const width = label === NO_LABEL ? columns.length : columns.length - 1;
  const features = readFeatures(body, columns, label, file);
  const labelled =
    label === NO_LABEL
      ? { labels: new Float32Array(body.length), classes: [] }
      : target === "number"
        ? readTargets(body, columns, label, file)
        : readClasses(body, label, options.classes, file);
  return {
    name,
    features,
    ...labelled,
    count: body.length,
    width,
    shape: [width],
    columns: header === undefined ? [] : columns.filter((_, i) => i !== label),
    source: options.source ?? `${body.length} rows of ${file}`,
    sample: false,
  };
}

function hasHeader(first: CsvRow, { header, label }: TableOptions): boolean {
  if (header !== undefined) return header;
  if (typeof label === "string") return true;
  if (label === null) return first.cells.some((cell) => cell.trim() !== "" && toNumber(cell) === null);
  const at = label === undefined || label < 0 ? first.cells.length + (label ?? -1) : label;
  return first.cells.some((cell, i) => i !== at && cell.trim() !== "" && toNumber(cell) === null);
}

function labelColumn(first: CsvRow, header: CsvRow | undefined, label: string | number, file: string): number {
  const width = first.cells.length;
  if (width < 2) throw new DataError(`${file}:${first.line}: expected at least two columns, features and a label, got ${width}.`);
  if (typeof label === "string") {
    const at = header?.cells.indexOf(label) ?? -1;
    if (at < 0)
      throw new OptionError(
        `${file}: expected a column named "${label}" for the label, got ` +
          `${header === undefined ? "no header" : header.cells.join(", ")}.`,
      );
    return at;
  }
  const at = label < 0 ? width + label : label;
  if (!Number.isInteger(at) || at < 0 || at >= width) {
    throw new OptionError(`${file}: expected a label column from ${-width} to ${width - 1}, got ${label}.`);
  }
  return at;
}

/** A finite number, or null. */
function toNumber(cell: string): number | null {
  const trimmed = cell.trim();
  if (!/^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i.test(trimmed)) return null;
  const value = Math.fround(Number(trimmed));
  return Number.isFinite(value) ? value : null;
}

function readNumber(row: CsvRow, i: number, columns: readonly string[], file: string): number {
  const cell = row.cells[i]!;
  const value = toNumber(cell);
  if (value === null) {
    const got = cell.trim() === "" ? "an empty cell" : JSON.stringify(cell);
    throw new DataError(
      `${file}:${row.line}: expected a float32 number in column ${i + 1} (${columns[i]}), got ${got}. Fill or drop such ` +
        `rows first.`,
    );
  }
  return value;
}

function readFeatures(body: readonly CsvRow[], columns: readonly string[], label: number, file: string): Float32Array {
  const out = new Float32Array(body.length * (label === NO_LABEL ? columns.length : columns.length - 1));
  let at = 0;
  for (const row of body) {
    for (let i = 0; i < columns.length; i++) {
      if (i !== label) out[at++] = readNumber(row, i, columns, file);
    }
  }
  return out;
}

function readTargets(body: readonly CsvRow[], columns: readonly string[], label: number, file: string) {
  return { labels: Float32Array.from(body, (row) => readNumber(row, label, columns, file)), classes: [] };
}

function readClasses(body: readonly CsvRow[], label: number, given: readonly string[] | undefined, file: string) {
  const texts = body.map((row) => row.cells[label]!.trim());
  const classes = given ?? sortClasses([...new Set(texts)]);
  const indices = new Map(classes.map((name, i) => [name, i]));
  const labels = new Int32Array(body.length);
  for (let i = 0; i < body.length; i++) {
    const index = texts[i] === "" ? undefined : indices.get(texts[i]!);
    if (index === undefined) {
      const got = texts[i] === "" ? "an empty cell" : JSON.stringify(texts[i]);
      throw new DataError(
        `${file}:${body[i]!.line}: expected ${given === undefined ? "a label" : `one of ${given.join(", ")}`} in column ` +
          `${label + 1}, got ${got}.`,
      );
    }
    labels[i] = index;
  }
  return { labels, classes };
}

function sortClasses(names: string[]): string[] {
  if (names.every((name) => toNumber(name) !== null)) return names.sort((a, b) => Number(a) - Number(b));
  return names.sort((a, b) => (a < b ? -1 : 1));
}
