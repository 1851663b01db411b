import { DataError, OptionError } from "../core/errors.js";

/** A row of cells and the line, from 1, on which it begins. */
export interface CsvRow {
  readonly line: number;
  readonly cells: readonly string[];
}

/**
 * Parts CSV text into rows (RFC 4180: quoted cells, doubled quotes, CRLF or LF; a byte order mark and blank lines are
 * passed over). All rows must have as many cells as the first.
 *
 * @throws DataError naming file, line and column of an open or misplaced quote or of a row of another length
 */
export function parseCsv(text: string, { file, delimiter }: { file: string; delimiter: string }): CsvRow[] {
  if (delimiter.length !== 1 || /["\r\n]/.test(delimiter)) {
    throw new OptionError(`${file}: expected a delimiter of one character, got ${JSON.stringify(delimiter)}.`);
  }
  const state: Scanner = { text, file, delimiter, at: text.charCodeAt(0) === 0xfeff ? 1 : 0, line: 1 };
  const rows: CsvRow[] = [];
  while (state.at < text.length) {
    const row = readRow(state);
    if (row.cells.length === 1 && row.cells[0]!.trim() === "") continue;
    const width = rows[0]?.cells.length ?? row.cells.length;
    if (row.cells.length !== width) {
      throw new DataError(`${file}:${row.line}: expected ${width} columns as in line ${rows[0]!.line}, got ${row.cells.length}.`);
    }
    rows.push(row);
  }
  return rows;
}

interface Scanner {
  readonly text: string;
  readonly file: string;
  readonly delimiter: string;
  at: number;
  line: number;
}

function readRow(state: Scanner): CsvRow {
  const line = state.line;
  const cells: string[] = [];
  for (;;) {
    cells.push(state.text[state.at] === '"' ? readQuoted(state, cells.length + 1) : readPlain(state, cells.length + 1));
    if (state.text[state.at] !== state.delimiter) break;
    state.at++;
  }
  if (state.text[state.at] === "\r") state.at++;
  if (state.text[state.at] === "\n") state.at++;
  state.line++;
  return { line, cells };
}

function readPlain(state: Scanner, column: number): string {
  const { text, delimiter } = state;
  const start = state.at;
  while (state.at < text.length && text[state.at] !== delimiter && text[state.at] !== "\n" && text[state.at] !== "\r") state.at++;
  const cell = text.slice(start, state.at);
  if (cell.includes('"')) {
    throw new DataError(
      `${state.file}:${state.line}: a quote inside the unquoted cell of column ${column}. Quote the whole cell and ` +
        `double the quotes in it.`,
    );
  }
  return cell;
}

function readQuoted(state: Scanner, column: number): string {
  const { text } = state;
  const line = state.line;
  let cell = "";
  for (;;) {
    const end = text.indexOf('"', state.at + 1);
    if (end < 0) throw new DataError(`${state.file}:${line}: the quote that opens column ${column} is never closed.`);
    cell += text.slice(state.at + 1, end);
    state.at = end + 1;
    if (text[state.at] !== '"') break;
    cell += '"';
  }
  state.line += cell.split("\n").length - 1;
  const next = text[state.at];
  if (next !== undefined && next !== state.delimiter && next !== "\n" && next !== "\r") {
    throw new DataError(
      `${state.file}:${state.line}: expected the end of column ${column} after its closing quote, got ${JSON.stringify(next)}.`,
    );
  }
  return cell;
}
