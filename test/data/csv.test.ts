import { join } from "node:path";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { DataError, OptionError } from "../../src/core/errors.js";
import { parseCsv } from "../../src/data/csv-parse.js";
import { tableFromCsv } from "../../src/data/index.js";
import { loadCsv } from "../../src/data/node.js";
import { temporaryFolder, write } from "./files.js";

const flowers = 'length,width,species\r\n5.1,3.5,setosa\r\n7.0,3.2,"versi, color"\r\n6.3,3.3,setosa\r\n';

describe("parseCsv", () => {
  test("gives back any cells that were quoted by RFC 4180", () => {
    const tables = fc.integer({ min: 2, max: 4 }).chain((width) =>
      fc.array(
        fc.array(fc.string({ unit: fc.constantFrom("a", '"', ",", "\n", "\r", " ", "1") }), {
          minLength: width,
          maxLength: width,
        }),
        { minLength: 1 },
      ),
    );
    fc.assert(
      fc.property(tables, (rows) => {
        const text = rows.map((row) => row.map((cell) => `"${cell.replaceAll('"', '""')}"`).join(",")).join("\r\n");
        expect(parseCsv(text, { file: "t", delimiter: "," }).map((row) => row.cells)).toEqual(rows);
      }),
    );
  });

  test("counts lines through quoted line breaks, and passes over blank lines and a byte order mark", () => {
    const rows = parseCsv('\uFEFFa,"b\nc"\n\n1,2\n', { file: "t", delimiter: "," });
    expect(rows).toEqual([
      { line: 1, cells: ["a", "b\nc"] },
      { line: 4, cells: ["1", "2"] },
    ]);
  });

  test("refuses open and misplaced quotes and rows of another length by line and column", () => {
    const read = (text: string) => () => parseCsv(text, { file: "t.csv", delimiter: "," });
    expect(read('1,2\n3,"4\n5,6')).toThrow("t.csv:2: the quote that opens column 2 is never closed.");
    expect(read('1,2\n3,4"5"')).toThrow(
      "t.csv:2: a quote inside the unquoted cell of column 2. Quote the whole cell and double the quotes in it.",
    );
    expect(read('1,"2"x')).toThrow('t.csv:1: expected the end of column 2 after its closing quote, got "x".');
    expect(read("1,2\n3\n")).toThrow("t.csv:2: expected 2 columns as in line 1, got 1.");
    expect(() => parseCsv("1", { file: "t", delimiter: "||" })).toThrow(OptionError);
  });
});

describe("tableFromCsv", () => {
  test("reads header, features and classes; the label is the last column and classes are sorted", () => {
    const set = tableFromCsv(flowers, { name: "flowers" });
    expect(set.columns).toEqual(["length", "width"]);
    expect(Array.from(set.features)).toEqual([5.1, 3.5, 7, 3.2, 6.3, 3.3].map(Math.fround));
    expect(set.classes).toEqual(["setosa", "versi, color"]);
    expect(Array.from(set.labels)).toEqual([0, 1, 0]);
    expect([set.count, set.width, set.shape]).toEqual([3, 2, [2]]);
  });

  test("sorts numeric classes as numbers: 2 before 10", () => {
    expect(tableFromCsv("1,10\n2,2\n3,10").classes).toEqual(["2", "10"]);
  });

  test("finds the label by name, by index and from the end, and keeps given classes", () => {
    expect(tableFromCsv("y,a\n1,0.5\n0,0.25", { label: "y" }).classes).toEqual(["0", "1"]);
    expect(Array.from(tableFromCsv("1,0.5\n0,0.25", { label: 0 }).features)).toEqual([0.5, 0.25]);
    expect(Array.from(tableFromCsv("1;7;2\n3;8;4", { label: -2, delimiter: ";", target: "number" }).labels)).toEqual([7, 8]);
    expect(Array.from(tableFromCsv("1,b\n2,b", { classes: ["a", "b"] }).labels)).toEqual([1, 1]);
  });

  test("takes the first row as a header only if a feature's cell in it is no number, unless told", () => {
    expect(tableFromCsv("1,x\n2,y").count).toBe(2);
    expect(tableFromCsv("size,x\n2,y").count).toBe(1);
    expect(tableFromCsv("1,2\n3,4", { header: true }).columns).toEqual(["1"]);
    expect(() => tableFromCsv("size,x\n2,y", { header: false })).toThrow(DataError);
  });

  test("gives Float32Array targets and no classes for numbers", () => {
    const set = tableFromCsv("a,price\n1,0.1\n2,-3e2", { target: "number" });
    expect(set.labels).toEqual(Float32Array.of(0.1, -300));
    expect(set.classes).toEqual([]);
  });

  test.each([
    ["abc", '"abc"'],
    ["", "an empty cell"],
    ["NaN", '"NaN"'],
    ["1e39", '"1e39"'],
    ["0x10", '"0x10"'],
    ["1 2", '"1 2"'],
  ])("refuses the cell %j as a number by line and column", (cell, got) => {
    expect(() => tableFromCsv(`a,b,y\n1,2,0\n3,${cell},1`, { file: "t.csv" })).toThrow(
      `t.csv:3: expected a float32 number in column 2 (b), got ${got}. Fill or drop such rows first.`,
    );
  });

  test("refuses missing labels, labels outside the given classes and columns that do not exist", () => {
    expect(() => tableFromCsv("1,a\n2,", { file: "t" })).toThrow("t:2: expected a label in column 2, got an empty cell.");
    expect(() => tableFromCsv("1,a\n2,c", { file: "t", classes: ["a", "b"] })).toThrow(
      't:2: expected one of a, b in column 2, got "c".',
    );
    expect(() => tableFromCsv("a,b\n1,2", { file: "t", label: "c" })).toThrow(
      't: expected a column named "c" for the label, got a, b.',
    );
    expect(() => tableFromCsv("1,2", { file: "t", label: 2 })).toThrow("t: expected a label column from -2 to 1, got 2.");
    expect(() => tableFromCsv("1\n2", { file: "t" })).toThrow("t:1: expected at least two columns, features and a label, got 1.");
    expect(() => tableFromCsv("\n\n", { file: "t" })).toThrow("t: expected rows of comma-separated values, got an empty file.");
    expect(() => tableFromCsv("a,b", { file: "t", label: "b" })).toThrow(
      "t: expected at least one row under the header, got none.",
    );
  });
});

describe("loadCsv", () => {
  const folder = temporaryFolder();

  test("reads a file and names it in errors", async () => {
    write(folder, { "flowers.csv": flowers, "bad.csv": "a,y\nx,1\n", "latin.csv": Uint8Array.of(0x61, 0x2c, 0xe9, 0x0a) });
    const set = await loadCsv(join(folder, "flowers.csv"), { label: "species" });
    expect([set.name, set.source]).toEqual(["flowers.csv", `3 rows of ${join(folder, "flowers.csv")}`]);
    await expect(loadCsv(join(folder, "bad.csv"))).rejects.toThrow(
      `${join(folder, "bad.csv")}:2: expected a float32 number in column 1 (a)`,
    );
    await expect(loadCsv(join(folder, "latin.csv"))).rejects.toThrow("expected text in UTF-8, got other bytes.");
    await expect(loadCsv(join(folder, "none.csv"))).rejects.toThrow(`${join(folder, "none.csv")}: there is no such file.`);
  });
});
